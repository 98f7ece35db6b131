import type { BotFailure } from '../failure.ts';
import type { BusinessStatus } from './versions.ts';

/** The end that a failure means; undefined for one that a later run may not meet again. */
export function statusOfFailure({ code, details }: BotFailure): BusinessStatus | undefined {
  if (code === 'SAFETY_BLOCKED') {
    return blockedStatus(details?.reason);
  }
  return code === 'DB_ERROR' && (details?.status === '400' || details?.status === '422') ? 'execution-failed' : undefined;
}

/** How a Task ends whose command is blocked. */
export function blockedStatus(reason: unknown): BusinessStatus {
  switch (reason) {
    case 'TARGET_CHANGED':
      return 'target-changed';
    case 'IDENTIFIER_TAKEN':
      return 'identifier-taken';
    default:
      return 'safety-blocked';
  }
}
