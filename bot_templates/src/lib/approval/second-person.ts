import type { ApproverRole } from '../commands/kind.ts';
import type { Approver } from './approvers.ts';
import { refusal } from './refusal.ts';
import type { Approval } from './standing.ts';

/** Who must approve a command. */
export interface Needed {
  roles: readonly ApproverRole[];
  /** Every role, by different people; else one of them is enough. */
  dual: boolean;
}

/**
 * Whether an approval completes what is needed.
 * @param before - Who approved so far.
 * @throws BotFailure UNAUTHORIZED when it adds nothing.
 */
export function completes(needed: Needed, before: readonly Approval[], approver: Approver): boolean {
  const useful = approver.roles.filter((role) => needed.roles.includes(role));
  if (useful.length === 0) {
    throw refusal('ROLE_NOT_ALLOWED', `This command is approved by ${needed.roles.join(' or ')}`);
  }
  if (!needed.dual) {
    return true;
  }
  const first = before[0];
  if (first === undefined) {
    return false;
  }
  if (before.some(({ who }) => who === approver.who)) {
    throw refusal('SECOND_PERSON_NEEDED', 'The same person has approved already; somebody else must');
  }
  if (!coverAll(needed.roles, [...before, approver])) {
    throw refusal('OTHER_ROLE_NEEDED', `This command is approved by ${needed.roles.join(' and ')}`);
  }
  return true;
}

/** Whether each role can be given to a person of their own. */
function coverAll(roles: readonly ApproverRole[], people: readonly Approval[]): boolean {
  const [role, ...others] = roles;
  if (role === undefined) {
    return true;
  }
  return people.some(
    (person, index) => person.roles.includes(role) && coverAll(others, people.filter((_, each) => each !== index))
  );
}
