import { describe, expect, test } from 'vitest';
import { bundle } from '../../test/support/vm-context.ts';

const KEY = 'billing-code-suggester';

describe('The bundle of the Billing Code Suggester Bot', () => {
  test('holds the table, and stays under 1.2 MB and what $deploy takes', async () => {
    const code = await bundle(KEY);
    expect(code.length).toBeLessThan(1_200_000);
    expect(JSON.stringify({ code, filename: 'index.js' }).length).toBeLessThan(1_000_000);
  });
});
