import { asFailure } from '../failure.ts';
import type { BotRun } from '../run.ts';
import { requireApprover, type RoleCodes } from './approvers.ts';
import type { Approval, Standing } from './standing.ts';

/** An approval that was given once and counts no more. */
export interface Lapsed {
  /** `Practitioner/id` */
  who: string;
  /** As a refusal of theirs would be. */
  reason: string;
}

/**
 * Looks again at who approved before: between two approvals somebody may have left, and two people who may approve must
 * stand behind what is carried out on the day that it is.
 * @returns The Task as it stands without the approvals that lapsed, and those.
 */
export async function recheckApprovals(
  run: BotRun,
  standing: Standing,
  codes: RoleCodes
): Promise<{ standing: Standing; lapsed: Lapsed[] }> {
  const approvals: Approval[] = [];
  const lapsed: Lapsed[] = [];
  for (const { who, roles } of standing.approvals) {
    const held = await rolesNow(run, who, codes);
    const left = typeof held === 'string' ? [] : roles.filter((role) => held.includes(role));
    if (left.length > 0) {
      approvals.push({ who, roles: left });
    } else {
      lapsed.push({ who, reason: typeof held === 'string' ? held : 'ROLE_NOT_ALLOWED' });
    }
  }
  const state = approvals.length === 0 && standing.state === 'awaiting-second' ? 'awaiting-approval' : standing.state;
  return { standing: { ...standing, approvals, state }, lapsed };
}

/** The roles that somebody has now, or why they may approve nothing. */
async function rolesNow(run: BotRun, who: string, codes: RoleCodes): Promise<Approval['roles'] | string> {
  try {
    return (await requireApprover(run, who, undefined, codes)).roles;
  } catch (error) {
    const failure = asFailure(error, 'DB_ERROR');
    const reason = failure.details?.reason;
    if (failure.code === 'UNAUTHORIZED' && typeof reason === 'string') {
      return reason;
    }
    throw failure;
  }
}
