import { randomUUID } from 'node:crypto';
import type { Task } from '@medplum/fhirtypes';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CLERK, COMMAND, DOCTOR, History, NS, PROCESSOR, QUEUE } from '../../../test/support/task-history.ts';
import { identify } from '../commands/command.ts';
import { nextVersion } from './versions.ts';

const claim = { status: 'in-progress', businessStatus: 'executing', claim: { id: 'c', decision: 'approve' } } as const;
const done = { status: 'completed', businessStatus: 'executed' } as const;

describe('what a Task is by its history', () => {
  test('a queued command waits', () => {
    expect(new History().standing).toMatchObject({
      trusted: true,
      state: 'awaiting-approval',
      approvals: [],
      byHand: { kind: 'nothing' },
      command: { name: COMMAND.name, patientId: COMMAND.patientId },
    });
  });

  test.each([
    ['a person', CLERK, {}],
    ['the Approval Queue Bot', QUEUE, {}],
    ['another bot', 'Bot/other', {}],
    ['nobody that is told', '', {}],
    ['the Command Processor for another patient', PROCESSOR, { for: { reference: `Patient/${randomUUID()}` } }],
    ['the Command Processor without a command', PROCESSOR, { input: [] }],
    ['the Command Processor by another code', PROCESSOR, { code: { text: 'x' } }],
    ['the Command Processor under another hash', PROCESSOR, { identifier: [{ system: `${NS}/command`, value: 'f'.repeat(64) }] }],
  ])('one that was made by %s is forged', (_name, author, more) => {
    expect(new History(author, more as Partial<Task>).standing).toMatchObject({ trusted: false, reason: 'FORGED' });
  });

  test('one that was deleted once is no more what it was', () => {
    const history = new History().delete();
    expect(history.standing).toMatchObject({ trusted: false, reason: 'DELETED', current: undefined });
    history.write(PROCESSOR, history.versions[0]?.resource as Task);
    expect(history.standing).toMatchObject({ trusted: false, reason: 'DELETED' });
  });

  test.each([
    ['input is changed', { input: [] }],
    ['status says completed', { status: 'completed' as const }],
    ['status says in-progress', { status: 'in-progress' as const }],
  ])('one whose %s by somebody else than this bot is tampered with', (_name, change) => {
    expect(new History().write(DOCTOR, change).standing).toMatchObject({ trusted: false, reason: 'TAMPERED' });
  });

  test('one that is changed once it is claimed is carried out as it was', () => {
    const { standing } = new History().own(claim).write(DOCTOR, { input: [] });
    expect(standing).toMatchObject({ trusted: true, state: 'executing', command: { name: COMMAND.name } });
  });

  test('states, approvals and claims count only where this bot wrote them', () => {
    const output = new History().own(claim).last.output as Task['output'] & object;
    const approval = nextVersion(NS, { current: new History().last, original: undefined }, {
      status: 'requested',
      businessStatus: 'awaiting-second',
      approvals: [{ who: DOCTOR, roles: ['practitioner'] }],
    }).resource as Task;
    const history = new History().write(CLERK, {
      output: [...output, ...(approval.output ?? [])],
      businessStatus: approval.businessStatus as Task['businessStatus'] & object,
    });
    expect(history.standing).toMatchObject({
      state: 'awaiting-approval',
      approvals: [],
      claim: undefined,
      modified: undefined,
    });
  });

  test('what this bot wrote is read again as it was written', () => {
    const { text, commandId } = identify({ ...COMMAND, parameters: { ...COMMAND.parameters, content: 'Better.' } });
    const modified = { text, sha256: commandId, command: COMMAND };
    const approvals = [
      { who: DOCTOR, roles: ['practitioner' as const, 'pharmacist' as const] },
      { who: 'Practitioner/second', roles: ['pharmacist' as const] },
    ];
    const history = new History().own({ ...claim, approvals, modified, decidedBy: undefined });
    expect(history.standing).toMatchObject({
      state: 'executing',
      approvals,
      claim: { id: 'c', decision: 'approve' },
      modified: { text, sha256: commandId, command: { parameters: { content: 'Better.' } } },
    });
  });

  test('an acceptance is whose version made it one', () => {
    const history = new History().write(CLERK, { description: 'x' }).write(DOCTOR, { status: 'accepted' }, 'Practitioner/chief');
    history.write(CLERK, { description: 'y' });
    expect(history.standing).toMatchObject({
      byHand: { kind: 'accepted', author: DOCTOR, onBehalfOf: 'Practitioner/chief' },
    });
  });

  test('an acceptance that was taken back and given again is the later one', () => {
    const history = new History()
      .write(DOCTOR, { status: 'accepted' })
      .write(DOCTOR, { status: 'requested' })
      .write(CLERK, { status: 'accepted' });
    expect(history.standing).toMatchObject({ byHand: { kind: 'accepted', author: CLERK } });
  });

  test.each(['requested', 'completed', 'in-progress'] as const)(
    'an end that somebody put to a claimed one holds, though somebody set it to %s and a run claimed it anew',
    (status) => {
      const history = new History().own(claim).write(CLERK, { status: 'cancelled' }).write(DOCTOR, { status });
      const stopped = { state: 'executing', byHand: { kind: 'stopped', author: CLERK, status: 'cancelled' } };
      expect(history.standing).toMatchObject(stopped);
      expect(history.own(claim).standing).toMatchObject(stopped);
      expect(history.own(done).standing).toMatchObject({ state: 'executed', byHand: { kind: 'nothing' } });
    }
  );

  test('an acceptance from before this bot wrote something is over', () => {
    const history = new History()
      .write(DOCTOR, { status: 'accepted' })
      .own({ status: 'requested', businessStatus: 'awaiting-approval' });
    expect(history.standing).toMatchObject({ byHand: { kind: 'nothing' }, state: 'awaiting-approval' });
    history.write(CLERK, { status: 'accepted' });
    expect(history.standing).toMatchObject({ byHand: { kind: 'accepted', author: CLERK } });
  });

  const edits = fc.array(
    fc.record({
      author: fc.constantFrom(CLERK, DOCTOR, 'ClientApplication/app', PROCESSOR),
      change: fc.constantFrom<Partial<Task>>(
        { status: 'requested' },
        { status: 'accepted' },
        { status: 'completed' },
        { status: 'in-progress' },
        { input: [] },
        { output: [] },
        { businessStatus: { coding: [{ system: `${NS}/task-status`, code: 'executed' }] } },
        { restriction: { period: { end: '2999-01-01' } } }
      ),
    }),
    { maxLength: 8 }
  );

  test('whatever people write, only this bot moves it on', () => {
    fc.assert(
      fc.property(edits, (written) => {
        const history = new History();
        for (const { author, change } of written) {
          history.write(author, change);
        }
        const { standing } = history;
        return !standing.trusted || standing.state === 'awaiting-approval';
      })
    );
  });

  test('whatever people write, what has ended stays ended, and a claim stays a claim', () => {
    fc.assert(
      fc.property(edits, edits, (before, after) => {
        const claimed = new History().own(claim);
        const ended = new History().own(claim);
        for (const { author, change } of before) {
          claimed.write(author, change);
          ended.write(author, change);
        }
        ended.own(done);
        for (const { author, change } of after) {
          ended.write(author, change);
        }
        return (
          claimed.standing.trusted &&
          claimed.standing.state === 'executing' &&
          ended.standing.trusted &&
          ended.standing.state === 'executed'
        );
      })
    );
  });
});
