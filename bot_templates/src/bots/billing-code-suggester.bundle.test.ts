import { describe, expect, test } from 'vitest';
import { executeEvent } from '../../test/support/events.ts';
import { bundle, RELEASES, runInServerContext } from '../../test/support/vm-context.ts';

const KEY = 'billing-code-suggester';

describe('The bundle of the Billing Code Suggester Bot', () => {
  test('holds the table, and stays under 1.2 MB and what $deploy takes', async () => {
    const code = await bundle(KEY);
    expect(code.length).toBeLessThan(1_200_000);
    expect(JSON.stringify({ code, filename: 'index.js' }).length).toBeLessThan(1_000_000);
  });

  test.each(Object.keys(RELEASES) as (keyof typeof RELEASES)[])(
    'loads in the context of Medplum %s in time, and exports a handler and nothing else',
    async (release) => {
      const code = `${await bundle(KEY)}const keys = Object.keys(exports); exports.handler = async () => keys;\n`;
      const started = performance.now();
      const { returned } = await runInServerContext(code, release, 'http://localhost/', executeEvent({}, {}));
      expect(performance.now() - started).toBeLessThan(100);
      expect(returned).toEqual(['handler']);
    }
  );
});
