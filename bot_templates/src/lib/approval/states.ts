/** Where a queued command stands, as the Approval Queue Bot itself wrote it down. */
export const STATES = [
  'awaiting-approval',
  'awaiting-second',
  /** Claimed by one run, which carries a decision out. */
  'executing',
  'executed',
  'rejected',
  'withdrawn',
  'failed',
] as const;
export type State = (typeof STATES)[number];

/** What a person decides. */
export const DECISIONS = ['approve', 'reject', 'withdraw'] as const;
export type Decision = (typeof DECISIONS)[number];

/** What happens to a queued command until a decision about it is carried out. */
export type ApprovalEvent =
  /** `last`: nobody else is needed. */
  | { type: 'approve'; last: boolean }
  | { type: 'reject' }
  | { type: 'withdraw' }
  /** A run takes over from one that did not come to its end. */
  | { type: 'recover' };

/** The state that a decision leads to once it is carried out. */
export const OUTCOMES = { approve: 'executed', reject: 'rejected', withdraw: 'withdrawn' } as const;

/** Whether nothing can happen any more. */
export function isTerminal(state: State): boolean {
  return state === 'executed' || state === 'rejected' || state === 'withdrawn' || state === 'failed';
}

/**
 * The state after an event.
 * @returns undefined where the event cannot happen: it is refused, and nothing changes.
 */
export function next(state: State, event: ApprovalEvent): State | undefined {
  switch (state) {
    case 'awaiting-approval':
    case 'awaiting-second':
      return afterWaiting(event);
    case 'executing':
      return event.type === 'recover' ? 'executing' : undefined;
    default:
      return undefined;
  }
}

function afterWaiting(event: ApprovalEvent): State | undefined {
  switch (event.type) {
    case 'approve':
      return event.last ? 'executing' : 'awaiting-second';
    case 'reject':
    case 'withdraw':
      return 'executing';
    default:
      return undefined;
  }
}
