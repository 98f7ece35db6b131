import { BotFailure, type ErrorCode } from '../failure.ts';

/** Why a decision is refused; the code that a caller is given for each. */
const CODES = {
  ON_BEHALF_OF: 'UNAUTHORIZED',
  NOT_A_PRACTITIONER: 'UNAUTHORIZED',
  INACTIVE_PRACTITIONER: 'UNAUTHORIZED',
  NO_ACTIVE_ROLE: 'UNAUTHORIZED',
  ROLE_NOT_ALLOWED: 'UNAUTHORIZED',
  OWN_COMMAND: 'UNAUTHORIZED',
  SECOND_PERSON_NEEDED: 'UNAUTHORIZED',
  OTHER_ROLE_NEEDED: 'UNAUTHORIZED',
  NOT_THE_SUBMITTER: 'UNAUTHORIZED',
  FORGED: 'SAFETY_BLOCKED',
  TAMPERED: 'SAFETY_BLOCKED',
  DELETED: 'SAFETY_BLOCKED',
  HISTORY_TOO_LONG: 'SAFETY_BLOCKED',
  EXPIRED: 'SAFETY_BLOCKED',
  WRONG_STATUS: 'SAFETY_BLOCKED',
  COMMAND_DIFFERS: 'SAFETY_BLOCKED',
  TARGET_CHANGED: 'SAFETY_BLOCKED',
  IDENTIFIER_TAKEN: 'SAFETY_BLOCKED',
} as const satisfies Record<string, ErrorCode>;

export type RefusalReason = keyof typeof CODES;

/** A decision that is not carried out. */
export function refusal(
  reason: RefusalReason,
  message: string,
  details: Record<string, unknown> = {}
): BotFailure {
  return new BotFailure(CODES[reason], message, { reason, ...details });
}
