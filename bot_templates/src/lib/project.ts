import { BotFailure } from './failure.ts';
import { isUuid } from './ids.ts';
import type { Secrets } from './secrets.ts';

/**
 * The project whose rows a bot reads and writes, in lower case.
 * @throws BotFailure NOT_CONFIGURED
 */
export function readProjectId(secrets: Secrets): string {
  const projectId = secrets.required('MEDBOTS_PROJECT_ID');
  if (!isUuid(projectId)) {
    throw new BotFailure('NOT_CONFIGURED', 'The project secret MEDBOTS_PROJECT_ID is no UUID', {
      secret: 'MEDBOTS_PROJECT_ID',
    });
  }
  return projectId.toLowerCase();
}
