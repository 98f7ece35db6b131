import type {
  AccessPolicyResource,
  Communication,
  Condition,
  DocumentReference,
  Provenance,
  Task,
} from '@medplum/fhirtypes';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { approvers, approving, refused } from '../../test/support/approving.ts';
import { type Member, useClinic } from '../../test/support/clinic.ts';
import { Case } from '../../test/support/commands.ts';
import { readManifest } from '../../test/support/manifest.ts';

describe('Approval Queue Bot', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let about: Case;
  let physician: Member;
  let nurse: Member;
  let pharmacist: Member;

  beforeAll(async () => {
    ({ physician, nurse, pharmacist } = await approvers(clinic));
    // Step by step: what fails half way must leave nothing behind without a transaction too.
    await clinic.setFeatures('bots');
  });

  beforeEach(async () => {
    await clinic.setSecrets({});
    about = await Case.open(clinic);
  });

  const { approve, one, trail } = approving(() => about);

  describe('rejects', () => {
    test('with a reason, a Provenance of the Task, word to the requester, and nothing else', async () => {
      const { taskId } = await about.note('Suicidal thoughts.');
      const output = await about.decide(taskId, 'reject', nurse.client, { reason: 'inaccurate' });
      expect(output).toMatchObject({ success: true, status: 'rejected', businessStatus: 'rejected' });
      const task = await about.task(taskId as string);
      expect(task.statusReason?.coding).toEqual([{ system: 'urn:medbots/rejection-reason', code: 'inaccurate' }]);
      expect(Case.values(task.output, 'decided-by')).toEqual([{ reference: `Practitioner/${nurse.profile.id}` }]);
      const origin = await one<Provenance>('Provenance', `target=Task/${taskId}`);
      expect(origin.agent.at(-1)?.who.reference).toBe(`Practitioner/${nurse.profile.id}`);
      const message = await one<Communication>('Communication', `subject=Patient/${about.patient.id}`);
      expect(JSON.stringify(message)).not.toMatch(/uicid|inaccurate/);
      expect(await about.written()).toEqual({ Task: 1 });
      expect(await trail('approval_denied')).toHaveLength(1);
      refused(await approve(taskId, physician), 'WRONG_STATUS');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('in words, which stay in the Task', async () => {
      const { taskId } = await about.note();
      await about.decide(taskId, 'reject', physician.client, { reason: 'Her name is not Anna.' });
      expect((await about.task(taskId as string)).statusReason?.text).toBe('Her name is not Anna.');
      const written = [...(await trail('approval_denied')), ...(await clinic.find('Communication', `subject=Patient/${about.patient.id}`))];
      expect(JSON.stringify(written)).not.toContain('Anna');
    });

    test('once, and only by who might have approved', async () => {
      const { taskId } = await about.note();
      refused(await about.decide(taskId, 'reject', pharmacist.client), 'ROLE_NOT_ALLOWED', 'UNAUTHORIZED');
      refused(await about.decide(taskId, 'reject', clinic.doctor.client), 'OWN_COMMAND', 'UNAUTHORIZED');
      const outputs = await Promise.all([physician, nurse].map((each) => about.decide(taskId, 'reject', each.client)));
      expect(outputs.filter(({ alreadyDone, success }) => success && !alreadyDone)).toHaveLength(1);
      await one<Provenance>('Provenance', `target=Task/${taskId}`);
    });

    test('what has been done meanwhile without anybody, and says so: the flag stands', async () => {
      const observation = await about.potassium(6.8, { status: 'preliminary' });
      const { taskId } = await about.flag(observation.id);
      await clinic.admin.updateResource({ ...observation, status: 'final' });
      expect(await about.flag(observation.id)).toMatchObject({ action: 'executed' });
      const output = await about.decide(taskId, 'reject', physician.client);
      expect(output).toMatchObject({ status: 'rejected', warnings: ['CARRIED_OUT_MEANWHILE'] });
      expect(await about.written()).toEqual({ Task: 1, Flag: 1 });
    });
  });

  describe('withdraws', () => {
    test('for who handed the command in', async () => {
      const { taskId } = await about.note();
      const output = await about.decide(taskId, 'withdraw', clinic.doctor.client);
      expect(output).toMatchObject({ status: 'cancelled', businessStatus: 'withdrawn' });
      expect(await about.decide(taskId, 'withdraw', clinic.doctor.client)).toMatchObject({ alreadyDone: true });
      refused(await approve(taskId, physician), 'WRONG_STATUS');
    });

    test('for nobody else', async () => {
      const { taskId } = await about.note();
      refused(await about.decide(taskId, 'withdraw', physician.client), 'NOT_THE_SUBMITTER', 'UNAUTHORIZED');
      const ofBot = await about.note('Other', {}, await clinic.application());
      refused(await about.decide(ofBot.taskId, 'withdraw', clinic.doctor.client), 'NOT_THE_SUBMITTER', 'UNAUTHORIZED');
    });
  });

  describe('does not carry out', () => {
    test('a change of a record that was changed since', async () => {
      const condition = await about.condition();
      const { taskId } = await about.problem({ action: 'resolve', conditionId: condition.id });
      await clinic.admin.updateResource<Condition>({ ...condition, note: [{ text: 'worse again' }] });
      refused(await approve(taskId, physician), 'TARGET_CHANGED');
      expect(await about.task(taskId as string)).toMatchObject({
        status: 'failed',
        businessStatus: { coding: [{ code: 'target-changed' }] },
      });
      expect((await one<Condition>('Condition')).clinicalStatus?.coding?.[0]?.code).toBe('active');
      refused(await approve(taskId, physician), 'WRONG_STATUS');
    });

    test('what is about an encounter that is gone', async () => {
      const { taskId } = await about.note();
      await clinic.admin.deleteResource('Encounter', about.encounter.id);
      refused(await approve(taskId, physician), 'TARGET_CHANGED');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('what the site has blocked since', async () => {
      const { taskId } = await about.medication();
      await clinic.setSecrets({ SAFETY_POLICY: JSON.stringify({ controlledSubstances: ['metformin'] }) });
      refused(await approve(taskId, physician), 'CONTROLLED_SUBSTANCE');
      expect(await about.task(taskId as string)).toMatchObject({
        status: 'failed',
        businessStatus: { coding: [{ code: 'safety-blocked' }] },
      });
    });

    test('what somebody put aside, as long as it lies there', async () => {
      const { taskId } = await about.note();
      const task = await about.task(taskId as string);
      const held = await clinic.doctor.client.updateResource<Task>({ ...task, status: 'on-hold' });
      refused(await approve(taskId, physician), 'WRONG_STATUS');
      await clinic.doctor.client.updateResource<Task>({ ...held, status: 'requested' });
      expect(await approve(taskId, physician)).toMatchObject({ status: 'completed' });
    });

    test('what somebody has cancelled by hand, and makes up for the event that did not report it', async () => {
      const { taskId } = await about.note();
      await clinic.doctor.client.updateResource<Task>({ ...(await about.task(taskId as string)), status: 'cancelled' });
      refused(await approve(taskId, physician), 'WRONG_STATUS');
      refused(await approve(taskId, physician), 'WRONG_STATUS');
      const origin = await one<Provenance>('Provenance', `target=Task/${taskId as string}`);
      expect(origin.agent.at(-1)?.who.reference).toBe(`Practitioner/${clinic.doctor.profile.id}`);
      await one<Communication>('Communication', `subject=Patient/${about.patient.id}`);
      expect(await trail('approval_denied')).toHaveLength(1);
    });

    test('what somebody has cancelled, either', async () => {
      const { taskId } = await about.note();
      await clinic.doctor.client.updateResource<Task>({ ...(await about.task(taskId as string)), status: 'cancelled' });
      refused(await approve(taskId, physician), 'WRONG_STATUS');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('a command whose identifier somebody else put on a record', async () => {
      const { taskId, commandId } = await about.note();
      await clinic.create<DocumentReference>({
        resourceType: 'DocumentReference',
        status: 'current',
        subject: about.subject,
        identifier: [{ system: 'urn:medbots/command', value: commandId as string }],
        content: [{ attachment: { title: 'another' } }],
      });
      refused(await approve(taskId, physician), 'IDENTIFIER_TAKEN');
      expect((await about.task(taskId as string)).businessStatus?.coding?.[0]?.code).toBe('identifier-taken');
    });

    test('anything that the audit trail does not take', async () => {
      const { taskId } = await about.note();
      const { policy } = readManifest().bots['approval-queue'] as { policy: AccessPolicyResource[] };
      await clinic.setPolicy('approval-queue', policy.filter(({ resourceType }) => resourceType !== 'AuditEvent'));
      try {
        expect(await approve(taskId, physician)).toMatchObject({ success: false, errorCode: 'AUDIT_UNAVAILABLE' });
        expect((await about.task(taskId as string)).status).toBe('requested');
      } finally {
        await clinic.setPolicy('approval-queue', policy);
      }
      expect(await approve(taskId, physician)).toMatchObject({ status: 'completed' });
    });

    test('anything while there are two Command Processors', async () => {
      const { taskId } = await about.note();
      const identifier = [{ system: 'urn:medbots/bot', value: 'command-processor' }];
      const other = await clinic.create({ resourceType: 'Bot', name: 'Impostor', identifier });
      expect(await approve(taskId, physician)).toMatchObject({ success: false, errorCode: 'NOT_CONFIGURED' });
      expect((await about.task(taskId as string)).status).toBe('requested');
      await clinic.admin.deleteResource('Bot', other.id);
      expect(await approve(taskId, physician)).toMatchObject({ status: 'completed' });
    });
  });

  test.each([
    ['no Task', { taskId: null }],
    ['an id that is none', { taskId: 'next' }],
    ['a Task that is not there', { taskId: '7f1f9b1e-0000-4000-8000-000000000000' }],
    ['no decision', { decision: null }],
    ['a decision that is none', { decision: 'maybe' }],
    ['a field of no meaning', { force: true }],
    ['modifications that are a list', { modifications: [] }],
    ['modifications of a rejection', { decision: 'reject', modifications: { content: 'x' } }],
    ['a reason too long', { decision: 'reject', reason: 'x'.repeat(501) }],
    ['an action that is none', { action: 'approve-all' }],
    ['a resource of another type', { resourceType: 'Patient', id: '7f1f9b1e-0000-4000-8000-000000000000', meta: {} }],
    ['a Bot, which only a cron job hands over', { resourceType: 'Bot', id: '7f1f9b1e-0000-4000-8000-000000000000', meta: {} }],
  ])('%s is INVALID_INPUT', async (_name, wrong) => {
    const { taskId } = await about.note();
    const input = 'resourceType' in wrong || 'action' in wrong ? wrong : { taskId, decision: 'approve', ...wrong };
    const output = await clinic.execute('approval-queue', input, physician.client);
    expect(output).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
    expect((await about.task(taskId as string)).status).toBe('requested');
  });

  test('a Task that asks for nothing is let be, whoever made it', async () => {
    const forged = await clinic.create<Task>({
      resourceType: 'Task',
      status: 'cancelled',
      intent: 'proposal',
      code: { coding: [{ system: 'http://medplum.com/ai-command', code: 'ai-approval' }] },
    });
    expect(await clinic.execute('approval-queue', forged)).toEqual({ success: true, taskId: forged.id, ignored: true });
    const asking = await clinic.admin.updateResource<Task>({ ...forged, status: 'requested' });
    refused(await clinic.execute('approval-queue', asking), 'FORGED');
  });

  test.each(['approve', 'reject'])('a Task that is no command is left alone when somebody would %s it', async (decision) => {
    const task = await clinic.create<Task>({
      resourceType: 'Task',
      status: 'in-progress',
      intent: 'order',
      code: { text: 'Turn the patient every two hours' },
      for: { reference: `Patient/${about.patient.id}` },
    });
    const output = await about.decide(task.id, decision, physician.client);
    expect(output).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
    expect(await one<Task>('Task')).toMatchObject({ status: 'in-progress', meta: { versionId: task.meta?.versionId } });
  });
});
