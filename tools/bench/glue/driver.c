/* What is counted of mbedTLS: each function is called by the host with buffers in emulated memory,
 * and returns 0 or mbedTLS's error. What a caller has to do once per operation (load a curve, expand
 * a key) is in it. */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "mbedtls/aes.h"
#include "mbedtls/bignum.h"
#include "mbedtls/ecdsa.h"
#include "mbedtls/ecp.h"
#include "mbedtls/gcm.h"
#include "mbedtls/sha512.h"

#define CHECK(call) \
    do { \
        int error = (call); \
        if (error) { \
            return error; \
        } \
    } while (0)

/* By words, as the C library in the chip's ROM does: those of a small C library, byte by byte, would
 * add a quarter to what mbedTLS costs. */
#define WORDS __attribute__((optimize("O2", "no-tree-loop-distribute-patterns")))

WORDS void *memcpy(void *restrict to, const void *restrict from, size_t len) {
    unsigned char *out = to;
    const unsigned char *in = from;
    if ((((uintptr_t)out | (uintptr_t)in) & 3) == 0) {
        for (; len >= 4; len -= 4, out += 4, in += 4) {
            *(uint32_t *)out = *(const uint32_t *)in;
        }
    }
    while (len--) {
        *out++ = *in++;
    }
    return to;
}

WORDS void *memset(void *to, int value, size_t len) {
    unsigned char *out = to;
    for (; len && ((uintptr_t)out & 3); len--) {
        *out++ = (unsigned char)value;
    }
    uint32_t word = (unsigned char)value * 0x01010101u;
    for (; len >= 4; len -= 4, out += 4) {
        *(uint32_t *)out = word;
    }
    while (len--) {
        *out++ = (unsigned char)value;
    }
    return to;
}

/* The C library's heap; what mbedTLS holds of it at most. */
size_t bench_heap_peak;
static size_t heap_used;

void *bench_calloc(size_t count, size_t size) {
    size_t *memory = calloc(1, count * size + 2 * sizeof(size_t));
    if (!memory) {
        return NULL;
    }
    *memory = count * size;
    heap_used += *memory;
    if (heap_used > bench_heap_peak) {
        bench_heap_peak = heap_used;
    }
    return memory + 2;
}

void bench_free(void *memory) {
    if (memory) {
        size_t *start = (size_t *)memory - 2;
        heap_used -= *start;
        free(start);
    }
}

/* For blinding, where the chip has a random number generator that costs next to nothing. */
static int noise(void *context, unsigned char *out, size_t len) {
    static uint32_t x = 2463534242u;
    (void)context;
    while (len--) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        *out++ = (unsigned char)x;
    }
    return 0;
}

int bench_x25519(unsigned char out[32], const unsigned char scalar[32], const unsigned char u[32]) {
    mbedtls_ecp_keypair key;
    mbedtls_ecp_point point;
    mbedtls_ecp_keypair_init(&key);
    mbedtls_ecp_point_init(&point);
    CHECK(mbedtls_ecp_read_key(MBEDTLS_ECP_DP_CURVE25519, &key, scalar, 32));
    CHECK(mbedtls_ecp_point_read_binary(&key.grp, &point, u, 32));
    CHECK(mbedtls_ecp_mul(&key.grp, &point, &key.d, &point, noise, NULL));
    CHECK(mbedtls_mpi_write_binary_le(&point.X, out, 32));
    mbedtls_ecp_point_free(&point);
    mbedtls_ecp_keypair_free(&key);
    return 0;
}

int bench_p256_public(unsigned char out[65], const unsigned char scalar[32]) {
    mbedtls_ecp_keypair key;
    size_t len;
    mbedtls_ecp_keypair_init(&key);
    CHECK(mbedtls_ecp_read_key(MBEDTLS_ECP_DP_SECP256R1, &key, scalar, 32));
    CHECK(mbedtls_ecp_mul(&key.grp, &key.Q, &key.d, &key.grp.G, noise, NULL));
    CHECK(mbedtls_ecp_point_write_binary(&key.grp, &key.Q, MBEDTLS_ECP_PF_UNCOMPRESSED, &len, out,
                                         65));
    mbedtls_ecp_keypair_free(&key);
    return 0;
}

/* RFC 6979 with SHA-256, as DER: out[0] is the length. */
int bench_p256_sign(unsigned char out[73], const unsigned char scalar[32],
                    const unsigned char hash[32]) {
    mbedtls_ecp_keypair key;
    size_t len;
    mbedtls_ecp_keypair_init(&key);
    CHECK(mbedtls_ecp_read_key(MBEDTLS_ECP_DP_SECP256R1, &key, scalar, 32));
    CHECK(mbedtls_ecdsa_write_signature(&key, MBEDTLS_MD_SHA256, hash, 32, out + 1, 72, &len, noise,
                                        NULL));
    out[0] = (unsigned char)len;
    mbedtls_ecp_keypair_free(&key);
    return 0;
}

/* 3072 bits, all big-endian. */
int bench_exp_mod(unsigned char out[384], const unsigned char base[384],
                  const unsigned char *exponent, size_t exponent_len,
                  const unsigned char modulus[384]) {
    mbedtls_mpi a, e, n;
    mbedtls_mpi_init(&a);
    mbedtls_mpi_init(&e);
    mbedtls_mpi_init(&n);
    CHECK(mbedtls_mpi_read_binary(&a, base, 384));
    CHECK(mbedtls_mpi_read_binary(&e, exponent, exponent_len));
    CHECK(mbedtls_mpi_read_binary(&n, modulus, 384));
    CHECK(mbedtls_mpi_exp_mod(&a, &a, &e, &n, NULL));
    CHECK(mbedtls_mpi_write_binary(&a, out, 384));
    mbedtls_mpi_free(&a);
    mbedtls_mpi_free(&e);
    mbedtls_mpi_free(&n);
    return 0;
}

/* One block of 128 bytes; the digest of whole messages is the host's check. */
int bench_sha512(unsigned char out[64], const unsigned char *data, size_t len) {
    return mbedtls_sha512(data, len, out, 0);
}

int bench_aes_ctr(unsigned char *out, const unsigned char *data, size_t len,
                  const unsigned char key[32], const unsigned char iv[16]) {
    mbedtls_aes_context aes;
    unsigned char counter[16], stream[16];
    size_t used = 0;
    for (int i = 0; i < 16; i++) {
        counter[i] = iv[i];
    }
    mbedtls_aes_init(&aes);
    CHECK(mbedtls_aes_setkey_enc(&aes, key, 256));
    CHECK(mbedtls_aes_crypt_ctr(&aes, len, &used, counter, stream, data, out));
    mbedtls_aes_free(&aes);
    return 0;
}

/* The tag follows the text. */
int bench_aes_gcm(unsigned char *out, const unsigned char *data, size_t len,
                  const unsigned char key[32], const unsigned char iv[12]) {
    mbedtls_gcm_context gcm;
    mbedtls_gcm_init(&gcm);
    CHECK(mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 256));
    CHECK(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, len, iv, 12, NULL, 0, data, out, 16,
                                    out + len));
    mbedtls_gcm_free(&gcm);
    return 0;
}
