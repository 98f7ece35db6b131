import { defineConfig } from 'vitest/config';
import { schemaText } from './scripts/schema-text.mjs';

/** The same embedded definitions as in the bundle. */
const schema = {
  name: 'medbots-schema',
  resolveId: (id) => (id === 'medbots:schema' ? '\0medbots-schema' : undefined),
  load: (id) => (id === '\0medbots-schema' ? `export default ${JSON.stringify(schemaText())};` : undefined),
};

export default defineConfig({
  plugins: [schema],
  test: { include: ['test/**/*.test.ts'], globalSetup: './test/build.mjs', testTimeout: 20_000, fileParallelism: false },
});
