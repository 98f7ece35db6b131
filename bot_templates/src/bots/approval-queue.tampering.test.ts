import type { Task } from '@medplum/fhirtypes';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { approvers } from '../../test/support/approving.ts';
import { type Member, useClinic } from '../../test/support/clinic.ts';
import { Case } from '../../test/support/commands.ts';
import { queueEvents, subscribe } from '../../test/support/queue-events.ts';

describe('Approval Queue Bot, by its subscription', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let about: Case;
  let physician: Member;
  let nurse: Member;
  let pharmacist: Member;
  /** May do anything with Tasks; approves nothing. */
  let clerk: Member;

  beforeAll(async () => {
    ({ physician, nurse, pharmacist } = await approvers(clinic));
    clerk = await clinic.member();
    await subscribe(clinic);
  });

  beforeEach(async () => {
    await clinic.setSecrets({});
    about = await Case.open(clinic);
  });

  const { runs, reaches, settled, listen, edit, forge, refusals } = queueEvents(clinic, () => about);

  describe('forged', () => {
    test('by a normal user, it fails, and nothing runs', async () => {
      const { taskId: model } = await about.note('A true one.');
      const { input, identifier: _, ...rest } = await about.task(model as string);
      const task = await forge(clerk, { input, encounter: rest.encounter, performerType: rest.performerType, restriction: rest.restriction } as Partial<Task>);
      await reaches(task.id, 'failed', 'forged');
      const output = await about.decide(task.id, 'approve', physician.client);
      expect(output).toMatchObject({ success: false, errorCode: 'SAFETY_BLOCKED', details: { reason: 'FORGED' } });
      expect(await about.written()).toEqual({ Task: 2 });
      expect((await refusals(task.id)).length).toBeGreaterThan(0);
    });

    test('as approved already, it fails', async () => {
      const task = await forge(physician, { status: 'accepted' });
      await reaches(task.id, 'failed', 'forged');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('again and again, it does not make the bot run for ever', async () => {
      const task = await forge(clerk);
      await reaches(task.id, 'failed', 'forged');
      await edit(task.id, clerk, { status: 'requested' });
      await settled(task.id);
      await edit(task.id, clerk, { status: 'accepted' });
      await settled(task.id);
      // Its creation, the end that the bot wrote, and two edits that change nothing any more.
      expect(await runs(task.id)).toHaveLength(4);
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('with the identifier and content of a true one, it fails, and the true one goes on', async () => {
      const { taskId } = await about.note();
      const { id: _, meta: __, ...copy } = await about.task(taskId as string);
      const task = await clerk.client.createResource<Task>(copy as Task);
      await reaches(task.id, 'failed', 'forged');
      expect(await about.decide(taskId, 'approve', physician.client)).toMatchObject({ status: 'completed' });
    });

    test('by the code of another system, it is nobody\'s business', async () => {
      const code = { coding: [{ system: 'urn:other', code: 'ai-approval' }] };
      const task = await forge(clerk, { code });
      expect(await settled(task.id)).toBe(1);
      expect((await about.task(task.id)).status).toBe('requested');
    });
  });

  describe('tampered with', () => {
    const input = (task: Task, change: (text: string) => string): Task['input'] & object =>
      (task.input ?? []).map((each) =>
        each.type.coding?.[0]?.code === 'command' ? { ...each, valueString: change(each.valueString as string) } : each
      );

    test('in its command, it fails, and neither command runs', async () => {
      const { taskId } = await about.note('The patient is well.');
      const task = await about.task(taskId as string);
      await edit(taskId, clerk, { input: input(task, (text) => text.replace('well', 'dead')) });
      await reaches(taskId, 'failed', 'tampered');
      const output = await about.decide(taskId, 'approve', physician.client);
      expect(output).toMatchObject({ success: false, errorCode: 'SAFETY_BLOCKED' });
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('in what it shows as made of the command by an approver, no acceptance of it counts', async () => {
      const { taskId } = await about.medication({ dosage: '500 mg' });
      await about.decide(taskId, 'approve', physician.client, { modifications: { dosage: '250 mg' } });
      await settled(taskId);
      await listen(false);
      const { output = [] } = await about.task(taskId as string);
      const shown = output.map((each) =>
        each.type.coding?.[0]?.code === 'modified-command'
          ? { ...each, valueString: each.valueString?.replace('250 mg', '100 mg') as string }
          : each
      );
      await edit(taskId, clerk, { output: shown });
      await listen(true);
      await edit(taskId, pharmacist, { status: 'accepted' });
      await reaches(taskId, 'failed', 'tampered');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('before the event is heard, an approval finds it', async () => {
      const { taskId } = await about.note('The patient is well.');
      await settled(taskId);
      await listen(false);
      const task = await about.task(taskId as string);
      await edit(taskId, physician, { status: 'accepted', input: input(task, (text) => text.replace('well', 'dead')) });
      await listen(true);
      const output = await about.decide(taskId, 'approve', physician.client);
      expect(output).toMatchObject({ success: false, errorCode: 'SAFETY_BLOCKED', details: { reason: 'TAMPERED' } });
      expect((await about.task(taskId as string)).status).toBe('failed');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('and put back, it still fails: nobody knows who saw what', async () => {
      const { taskId } = await about.note('The patient is well.');
      await settled(taskId);
      await listen(false);
      const task = await about.task(taskId as string);
      await edit(taskId, clerk, { input: input(task, (text) => text.replace('well', 'dead')) });
      await edit(taskId, clerk, { input: task.input as Task['input'] & object });
      await listen(true);
      const output = await about.decide(taskId, 'approve', physician.client);
      expect(output).toMatchObject({ details: { reason: 'TAMPERED' } });
    });

    test.each([
      ['its expiry', (task: Task) => ({ restriction: { period: { end: '2999-01-01T00:00:00Z' } }, priority: task.priority })],
      ['its patient', () => ({ for: { reference: `Patient/${about.encounter.id}` } })],
      ['who may approve it', () => ({ performerType: [] })],
      ['who handed it in', () => ({ requester: { reference: `Practitioner/${clerk.profile.id}` } })],
      ['its end', () => ({ status: 'completed' as const })],
      ['its claim', () => ({ status: 'in-progress' as const })],
    ])('in %s, it fails', async (_name, change) => {
      const { taskId } = await about.note();
      await edit(taskId, clerk, change(await about.task(taskId as string)) as Partial<Task>);
      await reaches(taskId, 'failed', 'tampered');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('by an approval that nobody gave, it needs both people still', async () => {
      const { taskId } = await about.medication();
      const code = (system: string, value: string) => ({ coding: [{ system: `urn:medbots/${system}`, code: value }] });
      await edit(taskId, clerk, {
        businessStatus: code('task-status', 'awaiting-second'),
        output: [
          {
            type: code('task-output', 'approval'),
            extension: [{ url: 'urn:medbots/approver-role', valueCode: 'practitioner' }],
            valueReference: { reference: `Practitioner/${physician.profile.id}` },
          },
        ],
      });
      expect(await about.decide(taskId, 'approve', pharmacist.client)).toMatchObject({ businessStatus: 'awaiting-second' });
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('in words and order only, by an application that adds displays, it is approved as before', async () => {
      const { taskId } = await about.note();
      const task = await about.task(taskId as string);
      await edit(taskId, clerk, {
        for: { ...task.for, display: 'Eleanor' } as Task['for'] & object,
        priority: 'urgent',
        note: [{ text: 'please today' }],
      });
      await settled(taskId);
      expect(await about.decide(taskId, 'approve', physician.client)).toMatchObject({ status: 'completed' });
    });

    test('after its end, it stays ended: set back to requested, it is neither approved nor run again', async () => {
      const { taskId } = await about.note();
      await about.decide(taskId, 'approve', physician.client);
      await edit(taskId, clerk, { status: 'requested', output: [] });
      await settled(taskId);
      await edit(taskId, physician, { status: 'accepted' });
      await settled(taskId);
      expect(await about.decide(taskId, 'approve', nurse.client)).toMatchObject({ alreadyDone: true, status: 'completed' });
      expect(await about.written()).toEqual({ Task: 1, DocumentReference: 1 });
    });

    test('by its deletion, and put back under its id with other content, it fails', async () => {
      const { taskId } = await about.note('The patient is well.');
      const task = await about.task(taskId as string);
      await clinic.admin.deleteResource('Task', taskId as string);
      expect(await about.decide(taskId, 'approve', physician.client)).toMatchObject({
        success: false,
        details: { reason: 'DELETED' },
      });
      await clerk.client.updateResource<Task>({ ...task, input: input(task, (text) => text.replace('well', 'dead')) });
      await reaches(taskId, 'failed', 'forged');
      expect(await about.decide(taskId, 'approve', physician.client)).toMatchObject({
        success: false,
        details: { reason: 'DELETED' },
      });
      expect(await about.written()).toEqual({ Task: 1 });
    });

    const editOften = async (taskId: string, times: number): Promise<void> => {
      await settled(taskId);
      await listen(false);
      let task = await about.task(taskId);
      for (let index = 0; index < times; index++) {
        task = await clerk.client.updateResource<Task>({ ...task, description: `edit ${index}` });
      }
      await listen(true);
    };

    test('so often that its history has several pages, it is approved as before', async () => {
      const { taskId } = await about.note();
      await editOften(taskId as string, 220);
      expect(await about.decide(taskId, 'approve', physician.client)).toMatchObject({ status: 'completed' });
      expect(await about.written()).toEqual({ Task: 1, DocumentReference: 1 });
    });

    test('in its command, and edited so often then that the change is on another page, it fails', async () => {
      const { taskId } = await about.note('The patient is well.');
      await settled(taskId);
      await listen(false);
      const task = await about.task(taskId as string);
      await edit(taskId, clerk, { input: input(task, (text) => text.replace('well', 'dead')) });
      await edit(taskId, clerk, { input: task.input as Task['input'] & object });
      await editOften(taskId as string, 120);
      expect(await about.decide(taskId, 'approve', physician.client)).toMatchObject({ details: { reason: 'TAMPERED' } });
      expect(await about.written()).toEqual({ Task: 1 });
    });
  });
});
