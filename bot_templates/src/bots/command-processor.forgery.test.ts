import type { MedplumClient } from '@medplum/core';
import type { Task } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Output, useClinic } from '../../test/support/clinic.ts';
import { Case } from '../../test/support/commands.ts';

describe('Command Processor Bot', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let about: Case;

  beforeEach(async () => {
    await clinic.setSecrets({});
    about = await Case.open(clinic);
  });

  describe('is not kept from a command', () => {
    /** A Task like that of a command, by somebody who has worked out its id. */
    const forge = async (command: Output, more: Partial<Task> = {}): Promise<Task> => {
      const { id: _, meta: __, ...copy } = await about.task(command.taskId as string);
      await clinic.admin.deleteResource('Task', command.taskId as string);
      return clinic.doctor.client.createResource<Task>({ ...copy, ...more } as Task);
    };
    const forgeries = () => clinic.audits('approval_refused', `&patient=Patient/${about.patient.id}`);

    test('by a Task with its identifier, code and content: a true one is queued, and the forgery is told of', async () => {
      const submit: Record<string, () => Promise<Output>> = {
        note: () => about.note(),
        billing: () => about.billing(),
        referral: () => about.referral(),
        medication: () => about.medication(),
      };
      for (const [name, again] of Object.entries(submit)) {
        const forged = await forge(await again());
        const output = await again();
        expect({ name, ...output }).toMatchObject({ success: true, action: 'queued', warnings: ['FORGED_TASK_IGNORED'] });
        expect(output.duplicate).toBeUndefined();
        expect(output.taskId).not.toBe(forged.id);
        // From then on the true one is found, beside the other.
        expect(await again()).toMatchObject({ taskId: output.taskId, duplicate: true });
        expect(Case.values((await about.task(output.taskId as string)).input, 'command-sha256')).toEqual([output.commandId]);
      }
      const events = await forgeries();
      expect(events).toHaveLength(8);
      expect(events[0]).toMatchObject({ outcome: '8' });
    });

    test('by several of them, nor in a race: one Task is made', async () => {
      const { id: _, meta: __, ...copy } = await forge(await about.note());
      await clinic.doctor.client.createResource<Task>(copy as Task);
      const outputs = await Promise.all([about.note(), about.note(), about.note()]);
      expect(new Set(outputs.map(({ taskId }) => taskId)).size).toBe(1);
      expect(outputs.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
      expect(await about.tasks()).toHaveLength(3);
    });

    test('by a true Task that was deleted and put back', async () => {
      const { taskId } = await about.note();
      const task = await about.task(taskId as string);
      await clinic.admin.deleteResource('Task', taskId as string);
      await clinic.doctor.client.updateResource<Task>(task);
      const output = await about.note();
      expect(output).toMatchObject({ action: 'queued', warnings: ['FORGED_TASK_IGNORED'] });
      expect(output.taskId).not.toBe(taskId);
    });

    test.each(['draft', 'requested'] as const)('by Tasks that fill the queue of a patient, and are forged: %s', async (status) => {
      const { id: _, meta: __, ...copy } = await forge(await about.note(), { status });
      const restriction = { period: { end: '2999-01-01T00:00:00Z' } };
      for (let index = 0; index < 10; index++) {
        const identifier = [{ system: 'urn:medbots/command', value: String(index).repeat(64) }];
        await clinic.doctor.client.createResource<Task>({ ...copy, restriction, identifier } as Task);
      }
      for (let index = 0; index < 10; index++) {
        expect(await about.note(`Note ${index}`)).toMatchObject({ success: true, action: 'queued' });
      }
      expect(await about.note('Note 10')).toMatchObject({ success: false, blockReason: 'OPEN_TASK_LIMIT' });
    });

    test('but where there are more of them than can be looked into, nothing goes on, and it is said', async () => {
      const { id: _, meta: __, ...copy } = await forge(await about.note());
      await Promise.all(Array.from({ length: 20 }, () => clinic.doctor.client.createResource<Task>(copy as Task)));
      expect(await about.note()).toMatchObject({ success: false, blockReason: 'IDENTIFIER_TAKEN' });
    });

    test.each(['completed', 'rejected', 'in-progress'] as const)('of a critical flag, by a forged Task that is %s', async (status) => {
      const observation = await about.potassium(6.8, { status: 'preliminary' });
      await forge(await about.flag(observation.id), { status });
      await clinic.admin.updateResource({ ...observation, status: 'final' });
      const output = await about.flag(observation.id);
      expect(output).toMatchObject({ action: 'executed', warnings: ['FORGED_TASK_IGNORED'] });
      expect(await clinic.find('Flag', `patient=Patient/${about.patient.id}`)).toHaveLength(1);
    });
  });

  describe('carries a critical flag out', () => {
    const waiting = async () => {
      const observation = await about.potassium(6.8, { status: 'preliminary' });
      const { taskId } = await about.flag(observation.id);
      await clinic.admin.updateResource({ ...observation, status: 'final' });
      const again = (): Promise<Output> => about.flag(observation.id);
      const set = async (by: MedplumClient, status: Task['status']): Promise<void> => {
        await by.updateResource<Task>({ ...(await about.task(taskId as string)), status });
      };
      return { taskId, again, set };
    };

    test.each(['rejected', 'cancelled', 'completed', 'in-progress'] as const)(
      'though an application has set its Task to %s: nobody said no, and nobody did it',
      async (status) => {
        const { again, set } = await waiting();
        await set(await clinic.application(), status);
        expect(await again()).toMatchObject({ action: 'executed' });
      }
    );

    test('though a person has edited a Task that an application had rejected', async () => {
      const { again, set, taskId } = await waiting();
      await set(await clinic.application(), 'rejected');
      await clinic.doctor.client.updateResource<Task>({ ...(await about.task(taskId as string)), description: 'seen' });
      expect(await again()).toMatchObject({ action: 'executed' });
    });

    test('though an application has cancelled its Task, and the queue keeps it ended', async () => {
      const { again, set, taskId } = await waiting();
      const application = await clinic.application();
      await set(application, 'cancelled');
      await set(application, 'requested');
      await clinic.execute('approval-queue', await about.task(taskId as string));
      expect((await about.task(taskId as string)).status).toBe('cancelled');
      expect(await again()).toMatchObject({ action: 'executed' });
    });

    test('but not against a person who rejected it, here or by hand, whatever the Task says now', async () => {
      const byHand = await waiting();
      await byHand.set(clinic.doctor.client, 'rejected');
      expect(await byHand.again()).toMatchObject({ action: 'ended', duplicate: true });
      await byHand.set(await clinic.application(), 'requested');
      expect(await byHand.again()).toMatchObject({ duplicate: true });
      const here = await waiting();
      await about.decide(here.taskId, 'reject', (await clinic.member('nurse')).client);
      await here.set(await clinic.application(), 'requested');
      expect(await here.again()).toMatchObject({ duplicate: true });
      expect(await clinic.find('Flag', `patient=Patient/${about.patient.id}`)).toEqual([]);
    });
  });
});
