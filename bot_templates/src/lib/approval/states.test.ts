import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ApprovalEvent, isTerminal, next, type State, STATES } from './states.ts';

const EVENTS: Record<string, ApprovalEvent> = {
  'approve, others needed': { type: 'approve', last: false },
  'approve, the last': { type: 'approve', last: true },
  reject: { type: 'reject' },
  withdraw: { type: 'withdraw' },
  expire: { type: 'expire' },
  refuse: { type: 'refuse' },
  recover: { type: 'recover' },
  'finish an approval': { type: 'finish', decision: 'approve' },
  'finish a rejection': { type: 'finish', decision: 'reject' },
  'finish a withdrawal': { type: 'finish', decision: 'withdraw' },
  fail: { type: 'fail' },
};

/** Where each event leads from each state; what is not here is refused. */
const TABLE: Partial<Record<State, Record<string, State>>> = {
  'awaiting-approval': {
    'approve, others needed': 'awaiting-second',
    'approve, the last': 'executing',
    reject: 'executing',
    withdraw: 'executing',
    expire: 'failed',
    refuse: 'failed',
  },
  'awaiting-second': {
    'approve, others needed': 'awaiting-second',
    'approve, the last': 'executing',
    reject: 'executing',
    withdraw: 'executing',
    expire: 'failed',
    refuse: 'failed',
  },
  executing: {
    recover: 'executing',
    'finish an approval': 'executed',
    'finish a rejection': 'rejected',
    'finish a withdrawal': 'withdrawn',
    fail: 'failed',
  },
};

describe('the way of a queued command', () => {
  test.each(STATES.flatMap((state) => Object.keys(EVENTS).map((event) => [state, event] as const)))(
    '%s: %s',
    (state, event) => {
      expect(next(state, EVENTS[event] as ApprovalEvent)).toBe(TABLE[state]?.[event]);
    }
  );

  const events = fc.constantFrom(...Object.values(EVENTS));
  /** Every state that is passed, refused events left out. */
  const walk = (happened: readonly ApprovalEvent[]): State[] =>
    happened.reduce<State[]>((passed, event) => {
      const after = next(passed.at(-1) as State, event);
      return after === undefined ? passed : [...passed, after];
    }, ['awaiting-approval']);

  test('is executed only after the last approval, and executed once', () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 30 }), (happened) => {
        const passed = walk(happened);
        const executed = passed.filter((state) => state === 'executed').length;
        return executed === 0 || (executed === 1 && passed.at(-1) === 'executed' && passed.at(-2) === 'executing');
      })
    );
  });

  test('never leaves a terminal state', () => {
    fc.assert(
      fc.property(fc.array(events, { maxLength: 30 }), events, (happened, event) => {
        const last = walk(happened).at(-1) as State;
        return !isTerminal(last) || next(last, event) === undefined;
      })
    );
  });

  test('does not expire once it is claimed, and is not claimed once it has expired', () => {
    expect(next('executing', { type: 'expire' })).toBeUndefined();
    expect(next('failed', { type: 'approve', last: true })).toBeUndefined();
  });
});
