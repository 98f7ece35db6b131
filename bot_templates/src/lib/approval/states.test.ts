import { describe, expect, test } from 'vitest';
import { type ApprovalEvent, isTerminal, next, OUTCOMES, type State, STATES } from './states.ts';

const EVENTS: Record<string, ApprovalEvent> = {
  'approve, others needed': { type: 'approve', last: false },
  'approve, the last': { type: 'approve', last: true },
  reject: { type: 'reject' },
  withdraw: { type: 'withdraw' },
  recover: { type: 'recover' },
};

/** Where each event leads from each state; what is not here is refused. */
const TABLE: Partial<Record<State, Record<string, State>>> = {
  'awaiting-approval': {
    'approve, others needed': 'awaiting-second',
    'approve, the last': 'executing',
    reject: 'executing',
    withdraw: 'executing',
  },
  'awaiting-second': {
    'approve, others needed': 'awaiting-second',
    'approve, the last': 'executing',
    reject: 'executing',
    withdraw: 'executing',
  },
  executing: {
    recover: 'executing',
  },
};

describe('the way of a queued command', () => {
  test.each(STATES.flatMap((state) => Object.keys(EVENTS).map((event) => [state, event] as const)))(
    '%s: %s',
    (state, event) => {
      expect(next(state, EVENTS[event] as ApprovalEvent)).toBe(TABLE[state]?.[event]);
    }
  );

  test('is over once it has failed, or once what was decided is carried out', () => {
    expect(STATES.filter(isTerminal)).toEqual([...Object.values(OUTCOMES), 'failed']);
  });
});
