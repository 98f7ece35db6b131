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

/** What happens to a queued command. */
export type ApprovalEvent =
  /** `last`: nobody else is needed. */
  | { type: 'approve'; last: boolean }
  | { type: 'reject' }
  | { type: 'withdraw' }
  | { type: 'expire' }
  /** It turns out not to be what the Command Processor queued, or not to be permitted. */
  | { type: 'refuse' }
  /** A run takes over from one that did not come to its end. */
  | { type: 'recover' }
  /** The decision that was claimed is carried out. */
  | { type: 'finish'; decision: Decision }
  /** It cannot be carried out. */
  | { type: 'fail' };

const OUTCOME: Record<Decision, State> = { approve: 'executed', reject: 'rejected', withdraw: 'withdrawn' };

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
      return afterClaim(event);
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
    case 'expire':
    case 'refuse':
      return 'failed';
    default:
      return undefined;
  }
}

function afterClaim(event: ApprovalEvent): State | undefined {
  switch (event.type) {
    case 'recover':
      return 'executing';
    case 'finish':
      return OUTCOME[event.decision];
    case 'fail':
      return 'failed';
    default:
      return undefined;
  }
}
