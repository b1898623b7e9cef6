/* mbedTLS as ESP-IDF sets it up by default (components/mbedtls/Kconfig: no fixed-point tables, the
 * NIST reduction, AES tables in ROM), but in software, and with an allocator that counts. */
#define MBEDTLS_HAVE_ASM

#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_PLATFORM_CALLOC_MACRO bench_calloc
#define MBEDTLS_PLATFORM_FREE_MACRO bench_free
#include <stddef.h>
void *bench_calloc(size_t count, size_t size);
void bench_free(void *memory);

#define MBEDTLS_BIGNUM_C
#define MBEDTLS_ECP_C
#define MBEDTLS_ECP_DP_CURVE25519_ENABLED
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_ECP_NIST_OPTIM
#ifndef MBEDTLS_ECP_FIXED_POINT_OPTIM
#define MBEDTLS_ECP_FIXED_POINT_OPTIM 0
#endif
#define MBEDTLS_ECDSA_C
#define MBEDTLS_ECDSA_DETERMINISTIC
#define MBEDTLS_HMAC_DRBG_C
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C

#define MBEDTLS_MD_C
#define MBEDTLS_SHA224_C
#define MBEDTLS_SHA256_C
#define MBEDTLS_SHA512_C
#define MBEDTLS_AES_C
#define MBEDTLS_AES_ROM_TABLES
#define MBEDTLS_CIPHER_MODE_CBC /* only MicroPython names it */
#define MBEDTLS_CIPHER_MODE_CTR
#define MBEDTLS_GCM_C
