import type { AccessPolicyResource, DocumentReference, MedicationRequest, Practitioner } from '@medplum/fhirtypes';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { approvers, approving, refused, role } from '../../test/support/approving.ts';
import { type Member, useClinic } from '../../test/support/clinic.ts';
import { Case, ICD, RXNORM } from '../../test/support/commands.ts';
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

  describe('refuses as approver', () => {
    let taskId: string;
    beforeEach(async () => {
      taskId = (await about.note()).taskId as string;
    });
    const stillWaiting = async (): Promise<void> => {
      expect((await about.task(taskId)).status).toBe('requested');
      expect(await about.written()).toEqual({ Task: 1 });
      expect((await clinic.audits('approval_refused', `&entity=Task/${taskId}`)).length).toBeGreaterThan(0);
    };

    test('who handed the command in', async () => {
      refused(await approve(taskId, clinic.doctor), 'OWN_COMMAND', 'UNAUTHORIZED');
      await stillWaiting();
    });

    test('an application, a patient, a related person', async () => {
      for (const client of [await clinic.application(), await clinic.person('Patient'), await clinic.person('RelatedPerson')]) {
        refused(await about.decide(taskId, 'approve', client), 'NOT_A_PRACTITIONER', 'UNAUTHORIZED');
      }
      await stillWaiting();
    });

    test('a bot, also one that says for whom it acts', async () => {
      const code = `exports.handler = async (medplum, { input }) =>
        medplum.executeBot(input.bot, { taskId: input.taskId, decision: 'approve' });\n`;
      const input = { bot: clinic.botId('approval-queue'), taskId };
      const { policy } = readManifest().bots['command-processor'] as { policy: AccessPolicyResource[] };
      await clinic.setPolicy('command-processor', [{ resourceType: '*' }]);
      try {
        refused(await clinic.runAs('command-processor', code, input), 'NOT_A_PRACTITIONER', 'UNAUTHORIZED');
      } finally {
        await clinic.setPolicy('command-processor', policy);
      }
      await stillWaiting();
    });

    test('a project admin on behalf of a physician', async () => {
      const headers = { 'X-Medplum-On-Behalf-Of': `Practitioner/${physician.profile.id}` };
      const output = await clinic.execute('approval-queue', { taskId, decision: 'approve' }, clinic.admin, headers);
      refused(output, 'ON_BEHALF_OF', 'UNAUTHORIZED');
      await stillWaiting();
    });

    test.each([
      ['no role at all', undefined],
      ['a role that is not active', { active: false }],
      ['a role that does not say whether it is active', { active: undefined }],
      ['a role that is over', { period: { end: '2020-12-31' } }],
      ['a role that has not begun', { period: { start: '2999-01-01' } }],
      ['a code of another system', { system: 'urn:other', code: 'doctor' }],
      ['a code that approves nothing', { code: 'researcher' }],
    ] as const)('somebody with %s', async (_name, more) => {
      const member = await clinic.member();
      if (more) {
        await role(clinic, member, { code: 'doctor', ...(more as object) });
      }
      refused(await approve(taskId, member), 'NO_ACTIVE_ROLE', 'UNAUTHORIZED');
      await stillWaiting();
    });

    test('and tells the audit trail of which command and patient, whatever the reason', async () => {
      const { commandId } = await about.note();
      const reasons = [];
      for (const member of [await clinic.member(), pharmacist, clinic.doctor]) {
        reasons.push((await approve(taskId, member)).details.reason);
      }
      expect(reasons).toEqual(['NO_ACTIVE_ROLE', 'ROLE_NOT_ALLOWED', 'OWN_COMMAND']);
      const events = await clinic.audits('approval_refused', `&entity=Task/${taskId}`);
      expect(events).toHaveLength(3);
      for (const { entity = [] } of events) {
        expect(entity.map(({ what, name }) => name ?? what?.reference)).toEqual(
          expect.arrayContaining([`Patient/${about.patient.id}`, commandId])
        );
      }
    });

    test('somebody without a role alike, whether there is such a Task or not', async () => {
      const member = await clinic.member();
      const here = await approve(taskId, member);
      const nowhere = await approve('7f1f9b1e-0000-4000-8000-000000000000', member);
      expect(nowhere).toEqual(here);
    });

    test("somebody with another person's role", async () => {
      const member = await clinic.member();
      await role(clinic, physician, { code: 'doctor' });
      refused(await approve(taskId, member), 'NO_ACTIVE_ROLE', 'UNAUTHORIZED');
      await stillWaiting();
    });

    test('somebody who is not active any more', async () => {
      const member = await clinic.member('doctor');
      await clinic.admin.updateResource<Practitioner>({ ...member.profile, active: false });
      refused(await approve(taskId, member), 'INACTIVE_PRACTITIONER', 'UNAUTHORIZED');
      await stillWaiting();
    });

    test('a pharmacist for a note, a nurse for a problem', async () => {
      refused(await approve(taskId, pharmacist), 'ROLE_NOT_ALLOWED', 'UNAUTHORIZED');
      const problem = await about.problem({ action: 'add', condition: { system: ICD, code: 'I10', display: 'HT' } });
      refused(await approve(problem.taskId, nurse), 'ROLE_NOT_ALLOWED', 'UNAUTHORIZED');
    });

    test('but not who has a role that ends today, or one in SNOMED CT', async () => {
      const member = await clinic.member();
      const today = new Date().toISOString().slice(0, 10);
      await role(clinic, member, { system: 'http://snomed.info/sct', code: '309343006', period: { end: today } });
      expect(await approve(taskId, member)).toMatchObject({ status: 'completed' });
    });

    test('whom APPROVER_ROLES does not name, and nobody else', async () => {
      await clinic.setSecrets({ APPROVER_ROLES: JSON.stringify({ practitioner: ['urn:clinic|chief'], nurse: [] }) });
      refused(await approve(taskId, physician), 'NO_ACTIVE_ROLE', 'UNAUTHORIZED');
      refused(await approve(taskId, nurse), 'NO_ACTIVE_ROLE', 'UNAUTHORIZED');
      const chief = await clinic.member();
      await role(clinic, chief, { system: 'urn:clinic', code: 'chief' });
      expect(await approve(taskId, chief)).toMatchObject({ status: 'completed' });
    });

    test.each(['doctors', '[]', '{"doctor": ["a|b"]}', '{"nurse": "a|b"}', '{"nurse": ["a"]}'])(
      'everybody where APPROVER_ROLES is %s',
      async (secret) => {
        await clinic.setSecrets({ APPROVER_ROLES: secret });
        expect(await approve(taskId, physician)).toMatchObject({ success: false, errorCode: 'NOT_CONFIGURED' });
        expect((await about.task(taskId)).status).toBe('requested');
      }
    );

    test('billers only where the site names them', async () => {
      const biller = await clinic.member();
      await role(clinic, biller, { system: 'urn:clinic', code: 'biller' });
      const billing = await about.billing();
      refused(await approve(billing.taskId, biller), 'NO_ACTIVE_ROLE', 'UNAUTHORIZED');
      await clinic.setSecrets({ APPROVER_ROLES: JSON.stringify({ billing: ['urn:clinic|biller'] }) });
      expect(await approve(billing.taskId, biller)).toMatchObject({ status: 'completed' });
      refused(await approve(taskId, biller), 'ROLE_NOT_ALLOWED', 'UNAUTHORIZED');
    });
  });

  describe('takes modifications', () => {
    test('that are carried out, recorded, and told to the next approver', async () => {
      const { taskId } = await about.note('The patient is fine.');
      const output = await approve(taskId, physician, { modifications: { content: 'The patient is well.' } });
      expect(output).toMatchObject({ status: 'completed', warnings: ['COMMAND_MODIFIED'] });
      const note = await one<DocumentReference>('DocumentReference');
      expect(Buffer.from(note.content[0]?.attachment.data as string, 'base64').toString()).toBe('The patient is well.');
      const task = await about.task(taskId as string);
      const [text] = Case.values(task.output, 'modified-command') as string[];
      expect(JSON.parse(text as string)).toMatchObject({ parameters: { content: 'The patient is well.' } });
      expect(JSON.stringify(Case.values(task.input, 'command'))).toContain('The patient is fine.');
    });

    test('of two approvers from the first only; the second approves what the first made of it', async () => {
      const { taskId, commandId } = await about.medication({ dosage: '500 mg' });
      const first = await approve(taskId, physician, { modifications: { dosage: '250 mg' } });
      expect(first).toMatchObject({ businessStatus: 'awaiting-second', warnings: ['COMMAND_MODIFIED'] });
      expect(await approve(taskId, pharmacist, { modifications: { dosage: '1 g' } })).toMatchObject({
        success: false,
        errorCode: 'INVALID_INPUT',
      });
      refused(await approve(taskId, pharmacist, { commandSha256: commandId as string }), 'COMMAND_DIFFERS');
      // Who does not say what they saw may have seen the command as it was handed in.
      refused(await approve(taskId, pharmacist), 'COMMAND_DIFFERS');
      expect(await about.written()).toEqual({ Task: 1 });
      const task = await about.task(taskId as string);
      const [sha256] = Case.values(task.output, 'modified-command-sha256');
      expect(await approve(taskId, pharmacist, { commandSha256: sha256 })).toMatchObject({ status: 'completed' });
      expect((await one<MedicationRequest>('MedicationRequest')).dosageInstruction).toEqual([{ text: '250 mg' }]);
    });

    test('that make it need two people', async () => {
      const current = await clinic.create<MedicationRequest>({
        resourceType: 'MedicationRequest',
        status: 'active',
        intent: 'order',
        subject: about.subject,
        medicationCodeableConcept: { text: 'metformin 500 mg' },
      });
      const medication = { system: RXNORM, code: '6809', display: 'metformin 850 mg' };
      const { taskId } = await about.medication({ action: 'change', medication, currentMedicationId: current.id });
      const modifications = { medication: { system: RXNORM, code: '11289', display: 'warfarin' } };
      expect(await approve(taskId, physician, { modifications })).toMatchObject({ businessStatus: 'awaiting-second' });
    });

    test.each([
      ['a controlled substance', { medication: { system: RXNORM, code: '7804', display: 'oxycodone' } }, 'CONTROLLED_SUBSTANCE'],
      ['a prescription', { status: 'active' }, 'PRESCRIPTION'],
    ])('but not to %s, and the command stays as it was', async (_name, modifications, reason) => {
      const { taskId } = await about.medication();
      refused(await approve(taskId, physician, { modifications }), reason);
      expect(await about.task(taskId as string)).toMatchObject({ status: 'requested' });
      expect(await about.written()).toEqual({ Task: 1 });
      expect(await trail('approval_refused')).toHaveLength(1);
    });

    test.each([
      ['another encounter', { encounterId: '7f1f9b1e-0000-4000-8000-000000000000' }],
      ['a field that the command does not know', { signed: true }],
      ['a field taken away that it needs', { content: null }],
      ['writing that turns its direction', { content: 'a\u202eb' }],
      ['a command of another name', { command: 'SuggestMedicationChange' }],
      ['another patient', { patientId: '7f1f9b1e-0000-4000-8000-000000000000' }],
    ])('but not %s', async (_name, modifications) => {
      const { taskId } = await about.note();
      expect(await approve(taskId, physician, { modifications })).toMatchObject({
        success: false,
        errorCode: 'INVALID_INPUT',
      });
      expect((await about.task(taskId as string)).status).toBe('requested');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('but not another record, even of the same patient', async () => {
      const [one, other] = [await about.condition(), await about.condition()];
      const { taskId } = await about.problem({ action: 'resolve', conditionId: one.id });
      expect(await approve(taskId, physician, { modifications: { conditionId: other.id } })).toMatchObject({
        errorCode: 'INVALID_INPUT',
      });
    });
  });

  test('an approver who says what they saw approves that and nothing else', async () => {
    const { taskId, commandId } = await about.note();
    refused(await approve(taskId, physician, { commandSha256: 'f'.repeat(64) }), 'COMMAND_DIFFERS');
    expect(await approve(taskId, physician, { commandSha256: commandId as string })).toMatchObject({ status: 'completed' });
  });
});
