// Makes the page: one file, compressed as the board keeps it. `node build.mjs [file]`

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { gzipSync } from "fflate";

const MAX_LEN = 40 * 1024; // compressed
const TARGET = "es2018"; // and big integers, of the same year, which X25519 is made of
const here = (path) => new URL(path, import.meta.url);
const built = process.argv[2] || here("../../lib/homing/provisioning/portal.html.gz");

async function bundle(entry, options) {
  const result = await build({
    entryPoints: [here(entry).pathname],
    bundle: true,
    minify: true,
    charset: "utf8",
    legalComments: "none", // the licences stand in the page as a whole
    write: false,
    target: TARGET,
    ...options,
  });
  return result.outputFiles[0].text.trim();
}

const digest = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

const script = await bundle("src/page.js", { format: "iife", supported: { bigint: true } });
const check = await bundle("src/check.js", { format: "iife", target: "es5" });
const style = await bundle("src/page.css", { target: ["chrome64", "safari11"] });
if (/<\/script|<!--/i.test(script)) throw new Error("the script would end too early");
const policy =
  `default-src 'none'; script-src ${digest(check)} ${digest(script)}; style-src ${digest(style)}; ` +
  "connect-src 'self'; img-src data:; form-action 'none'; base-uri 'none'";

const packages = ["@noble/ciphers", "@noble/curves", "@noble/hashes"];
const licences = packages.map((name) => {
  const about = JSON.parse(readFileSync(here(`node_modules/${name}/package.json`), "utf8"));
  const text = readFileSync(here(`node_modules/${name}/LICENSE`), "utf8");
  const copyright = /^Copyright.*$/m.exec(text)[0];
  return { title: `${name} ${about.version}, ${copyright}`, terms: text.slice(text.indexOf("Permission")) };
});
const terms = new Set(licences.map((licence) => licence.terms.replace(/\s+/g, " ").trim()));
if (terms.size !== 1) throw new Error("the packages' licences differ: give each its own text");
const notice =
  "This page is part of Homing (MIT licence) and contains, under the MIT licence:\n" +
  licences.map((licence) => licence.title).join("\n") + `\n\n${licences[0].terms.trim()}\n`;
if (notice.includes("--")) throw new Error("the notice would end too early");

const page = readFileSync(here("src/index.html"), "utf8")
  .replace(/^ +/gm, "")
  .replace("</html>", (end) => `<!--\n${notice}-->\n${end}`)
  .replace("%POLICY%", () => policy)
  .replace("%STYLE%", () => style)
  .replace("%CHECK%", () => check)
  .replace("%SCRIPT%", () => script);
// A deflate of known version, so that the same sources give the same bytes everywhere.
const compressed = gzipSync(new TextEncoder().encode(page), { level: 9, mem: 12, mtime: 0 });
if (compressed.length > MAX_LEN) throw new Error(`${compressed.length} bytes are too many`);
writeFileSync(built, compressed);
console.log(`${page.length} characters, compressed ${compressed.length} bytes`);
