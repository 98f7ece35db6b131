import type { Bot } from '@medplum/fhirtypes';
import { searchPage } from '../fhir.ts';
import type { BotRun } from '../run.ts';

/** The bots that make something of commands. */
export const COMMAND_BOTS = ['command-processor', 'approval-queue'] as const;
export type CommandBot = (typeof COMMAND_BOTS)[number];

/**
 * `Bot/id` of the bots of this project by their keys. A key that several bots carry is left out: then nobody knows
 * whose work is to be believed.
 */
export async function findCommandBots(run: BotRun): Promise<Map<CommandBot, string>> {
  const system = `${run.namespace}/bot`;
  const query = new URLSearchParams({
    identifier: COMMAND_BOTS.map((key) => `${system}|${key}`).join(),
    _count: '10',
    _fields: 'identifier',
  });
  const page = await searchPage<Bot>(run.medplum, 'Bot', query.toString(), 'DB_ERROR');
  const bots = (page.entry ?? []).map(({ resource }) => resource).filter((bot) => bot !== undefined);
  const found = COMMAND_BOTS.map((key) => {
    const carriers = bots.filter(({ identifier }) =>
      identifier?.some((each) => each.system === system && each.value === key)
    );
    return [key, carriers] as const;
  });
  return new Map(
    found.filter(([, carriers]) => carriers.length === 1).map(([key, [bot]]) => [key, `Bot/${bot?.id}`])
  );
}
