import { clearTimeout, setTimeout } from 'node:timers';
import { transferableAbortController } from 'node:util';
import { BotFailure } from './failure.ts';

/**
 * Awaits work for a limited time: the server stops no awaited call of a bot.
 * @param what - Names the work in the error, such as "The embedding call".
 * @param work - Receives a signal that is aborted at the limit. (`AbortController` is no global there.)
 * @throws BotFailure TIMEOUT at the limit, even if the work ignores the signal.
 */
export async function withTimeLimit<T>(
  what: string,
  milliseconds: number,
  work: (signal: AbortSignal) => Promise<T>
): Promise<T> {
  const controller = transferableAbortController();
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new BotFailure('TIMEOUT', `${what} took longer than ${milliseconds} ms`));
      controller.abort();
    }, milliseconds);
  });
  try {
    return await Promise.race([work(controller.signal), expired]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
