import { BotFailure } from './failure.ts';
import { FHIR_LIMIT_MS, fhirRequest } from './fhir.ts';
import { isObject } from './input.ts';
import type { BotRun } from './run.ts';

/** What another bot answered: its own success or failure, as it says. */
export type BotAnswer = { success: boolean } & Record<string, unknown>;

/**
 * Runs another bot of this manifest, with the rights of this run; the other bot sees this run's member as requester.
 * @param key - The manifest's key of the bot.
 * @param limitMs - Time limit of the whole run.
 * @throws BotFailure NOT_CONFIGURED (with `details.absent` when the bot is not there for this member), UNAUTHORIZED
 * or TIMEOUT.
 */
export async function executeBot(
  run: BotRun,
  key: string,
  input: Record<string, unknown>,
  limitMs = FHIR_LIMIT_MS
): Promise<BotAnswer> {
  const what = `Running the bot ${key}`;
  const answer: unknown = await fhirRequest(
    what,
    'NOT_CONFIGURED',
    (signal) =>
      run.medplum.executeBot({ system: `${run.namespace}/bot`, value: key }, input, 'application/json', { signal }),
    limitMs
  );
  if (!isObject(answer) || typeof answer.success !== 'boolean') {
    throw new BotFailure('NOT_CONFIGURED', `${what}: it answered something else than a bot of medbots does`);
  }
  return answer as BotAnswer;
}
