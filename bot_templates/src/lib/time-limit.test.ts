import { describe, expect, test } from 'vitest';
import { withTimeLimit } from './time-limit.ts';

describe('withTimeLimit', () => {
  test('gives the result of work that is in time', async () => {
    expect(await withTimeLimit('Work', 1_000, async () => 'done')).toBe('done');
  });

  test('passes on the error of work that fails', async () => {
    await expect(withTimeLimit('Work', 1_000, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  });

  test('ends at the limit even if the work ignores the signal, and aborts it', async () => {
    let signal: AbortSignal | undefined;
    const work = withTimeLimit('Work', 20, (given) => {
      signal = given;
      return new Promise(() => undefined);
    });
    await expect(work).rejects.toMatchObject({ code: 'TIMEOUT', message: 'Work took longer than 20 ms' });
    expect(signal?.aborted).toBe(true);
  });

  test('is silent about work that fails after the limit', async () => {
    const work = withTimeLimit(
      'Work',
      10,
      (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('late'))))
    );
    await expect(work).rejects.toMatchObject({ code: 'TIMEOUT' });
    await new Promise((resolve) => setTimeout(resolve, 10)); // an unhandled rejection would fail the run
  });

  test('does not abort work that was in time', async () => {
    const signal = await withTimeLimit('Work', 10, async (given) => given);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(signal.aborted).toBe(false);
  });
});
