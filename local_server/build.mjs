/**
 * Bundles the local server into dist/server.mjs: one file, nothing beside it at run time.
 * Deterministic and offline: the definitions come from node_modules.
 */
import { build } from 'esbuild';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { schemaText } from './scripts/schema-text.mjs';

const here = dirname(fileURLToPath(import.meta.url));

/** `import text from 'medbots:schema'` is the boiled-down FHIR definitions. */
const schemaPlugin = {
  name: 'schema',
  setup(b) {
    b.onResolve({ filter: /^medbots:schema$/ }, () => ({ path: 'schema', namespace: 'medbots' }));
    b.onLoad({ filter: /.*/, namespace: 'medbots' }, () => ({ contents: schemaText(), loader: 'text' }));
  },
};

/**
 * Optional native parts of bundled packages. Each is loaded in a try block by its package, which works
 * without it.
 */
const optionalNatives = ['pg-native', 'pg-cloudflare', 'msgpackr-extract', 'cloudflare:sockets', 'encoding', 'pdfmake'];

mkdirSync(join(here, 'dist'), { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: ['src/main.ts'],
  outfile: 'dist/server.mjs',
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  keepNames: true,
  charset: 'utf8',
  mainFields: ['main', 'module'],
  // Bundled CommonJS packages call require for Node's own modules.
  banner: {
    // The server's log is JSON lines; Node's own deprecation notes about bundled packages are none.
    js: "process.noDeprecation = true; import { createRequire as __medbotsCreateRequire } from 'node:module'; import { fileURLToPath as __medbotsPath } from 'node:url'; const require = __medbotsCreateRequire(import.meta.url); const __filename = __medbotsPath(import.meta.url); const __dirname = __medbotsPath(new URL('.', import.meta.url));",
  },
  external: optionalNatives,
  plugins: [schemaPlugin],
  logLevel: 'warning',
});
