import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const queries = fileURLToPath(new URL('../sql/queries/', import.meta.url));

export default defineConfig({
  plugins: [
    {
      name: 'sql-as-text',
      // The bundler gives esbuild the same alias and a text loader.
      resolveId: (id: string) => (id.startsWith('@sql/') ? queries + id.slice('@sql/'.length) : undefined),
      load: (id: string) =>
        id.endsWith('.sql') ? `export default ${JSON.stringify(readFileSync(id, 'utf8'))};` : undefined,
    },
  ],
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 20_000,
    maxWorkers: 2,
    silent: 'passed-only',
  },
});
