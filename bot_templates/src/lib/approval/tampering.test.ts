import type { Task } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { AUTHORS, CLERK, COMMAND, DOCTOR, History, QUEUE } from '../../../test/support/task-history.ts';
import { identify } from '../commands/command.ts';
import { isTampered } from './tampering.ts';

const tampered = (history: History): boolean =>
  isTampered(history.newestFirst, history.versions[0]?.resource as Task, AUTHORS);

describe('whether somebody changed what is to be done', () => {
  test.each([
    ['input', { input: [] }],
    ['for', { for: { reference: 'Patient/other' } }],
    ['restriction', { restriction: { period: { end: '2999-01-01' } } }],
    ['performerType', { performerType: [] }],
    ['requester', { requester: { reference: CLERK } }],
    ['identifier', { identifier: [] }],
    ['intent', { intent: 'order' as const }],
    ['code', { code: { text: 'x' } }],
    ['encounter', { encounter: { reference: 'Encounter/other' } }],
    ['focus', { focus: { reference: 'Encounter/other' } }],
    ['authoredOn', { authoredOn: '2000-01-01T00:00:00Z' }],
  ])('one whose %s somebody changed is tampered with, also when it is put back', (_name, change) => {
    const history = new History();
    const before = history.last;
    history.write(DOCTOR, change);
    expect(tampered(history)).toBe(true);
    history.write(DOCTOR, before);
    expect(tampered(history)).toBe(true);
  });

  test.each([
    ['a display', ({ for: patient }: Task) => ({ for: { ...patient, display: 'Somebody' } })],
    ['an element id', ({ input = [] }: Task) => ({ input: input.map((each, index) => ({ ...each, id: `i${index}` })) })],
    ['a description', () => ({ description: 'x' })],
    ['a status', () => ({ status: 'accepted' as const })],
  ])('%s is none', (_name, change) => {
    const history = new History();
    history.write(CLERK, change(history.last));
    expect(tampered(history)).toBe(false);
  });

  test('what this bot writes is none', () => {
    expect(tampered(new History().write(QUEUE, { input: [] }))).toBe(false);
  });

  describe('what an approver made of the command', () => {
    const made = (content: string) => {
      const parameters = { ...COMMAND.parameters, content };
      const { text, commandId } = identify({ ...COMMAND, parameters });
      return { text, sha256: commandId, command: { ...COMMAND, parameters } };
    };
    const waiting = (modified: ReturnType<typeof made>) =>
      ({ status: 'requested', businessStatus: 'awaiting-second', modified }) as const;
    const outputOf = (modified: ReturnType<typeof made>) => new History().own(waiting(modified)).last.output as Task['output'] & object;

    test.each([
      ['with its hash', (output: Task['output'] & object) => output],
      ['without its hash', (output: Task['output'] & object) => output.slice(0, 1)],
    ])('shown %s where nobody made anything of it is tampering, also when it is put back', (_name, part) => {
      const history = new History().write(CLERK, { output: part(outputOf(made('Harmless.'))) });
      expect(tampered(history)).toBe(true);
      history.write(DOCTOR, { status: 'accepted', output: [] });
      expect(tampered(history)).toBe(true);
    });

    test('shown in other words under the same hash is tampering', () => {
      const history = new History().own(waiting(made('Harmful.')));
      const [, hash] = history.last.output as Task['output'] & object;
      const [words] = outputOf(made('Harmless.'));
      history.write(CLERK, { output: [words, hash] as Task['output'] & object });
      expect(tampered(history)).toBe(true);
    });

    test('shown as it stands, as it stood, or not at all is none', () => {
      const history = new History().own(waiting(made('First.')));
      const first = history.last.output as Task['output'] & object;
      history.own(waiting(made('Second.')));
      const second = history.last.output as Task['output'] & object;
      for (const output of [second, first, []]) {
        history.write(CLERK, { output });
        expect(tampered(history)).toBe(false);
        expect(history.standing).toMatchObject({ trusted: true, modified: { sha256: made('Second.').sha256 } });
      }
    });
  });
});
