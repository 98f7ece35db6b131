import type { MedicationRequest, Practitioner, PractitionerRole, Provenance } from '@medplum/fhirtypes';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { approvers, approving, HL7_ROLES, refused, role } from '../../test/support/approving.ts';
import { type Member, useClinic } from '../../test/support/clinic.ts';
import { Case, RXNORM } from '../../test/support/commands.ts';

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

  describe('with two people', () => {
    test('waits for the second after the first', async () => {
      const { taskId } = await about.medication();
      expect(await approve(taskId, physician)).toMatchObject({
        success: true,
        status: 'requested',
        businessStatus: 'awaiting-second',
      });
      expect(await about.written()).toEqual({ Task: 1 });
      expect(await approve(taskId, pharmacist)).toMatchObject({ status: 'completed', businessStatus: 'executed' });
      const request = await one<MedicationRequest>('MedicationRequest');
      expect(request).toMatchObject({ status: 'draft', intent: 'proposal' });
      const origin = await one<Provenance>('Provenance', `target=MedicationRequest/${request.id}`);
      expect(origin.agent.slice(1).map(({ who }) => who.reference)).toEqual([
        `Practitioner/${physician.profile.id}`,
        `Practitioner/${pharmacist.profile.id}`,
      ]);
    });

    test('in either order', async () => {
      const { taskId } = await about.medication();
      expect(await approve(taskId, pharmacist)).toMatchObject({ businessStatus: 'awaiting-second' });
      expect(await approve(taskId, physician)).toMatchObject({ status: 'completed' });
    });

    test('is not one person twice, even one who is both physician and pharmacist', async () => {
      const both = await clinic.member('doctor');
      await role(clinic, both, { code: 'pharmacist' });
      const { taskId } = await about.medication();
      expect(await approve(taskId, both)).toMatchObject({ businessStatus: 'awaiting-second' });
      // They may not have heard the first answer: it is no refusal, and no second approval either.
      expect(await approve(taskId, both)).toMatchObject({
        success: true,
        businessStatus: 'awaiting-second',
        alreadyDone: true,
      });
      expect(await trail('approval_granted')).toHaveLength(1);
      expect(await about.written()).toEqual({ Task: 1 });
      // Whoever comes second gives the role that is left.
      expect(await approve(taskId, physician)).toMatchObject({ status: 'completed' });
    });

    test('is not two of the same role', async () => {
      const { taskId } = await about.medication();
      await approve(taskId, physician);
      refused(await approve(taskId, await clinic.member('doctor')), 'OTHER_ROLE_NEEDED', 'UNAUTHORIZED');
      refused(await approve(taskId, nurse), 'ROLE_NOT_ALLOWED', 'UNAUTHORIZED');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('is asked for again by the first, who may say again what they saw or made of it, and nothing else', async () => {
      const { taskId, commandId } = await about.medication({ dosage: '500 mg' });
      const modifications = { dosage: '250 mg' };
      await approve(taskId, physician, { modifications, commandSha256: commandId as string });
      const given = { success: true, status: 'requested', businessStatus: 'awaiting-second', alreadyDone: true };
      expect(await approve(taskId, physician, { modifications, commandSha256: commandId as string })).toMatchObject(given);
      expect(await approve(taskId, physician, { modifications })).toMatchObject(given);
      expect(await approve(taskId, physician)).toMatchObject(given);
      refused(await approve(taskId, physician, { commandSha256: 'f'.repeat(64) }), 'COMMAND_DIFFERS');
      expect(await approve(taskId, physician, { modifications: { dosage: '1 g' } })).toMatchObject({
        errorCode: 'INVALID_INPUT',
      });
      expect(await trail('approval_granted')).toHaveLength(1);
      expect(Case.values((await about.task(taskId as string)).output, 'approval')).toHaveLength(1);
    });

    test('counts the first only while they may approve: who has left is dropped, and the trail says so', async () => {
      const leaving = await clinic.member();
      await role(clinic, leaving, { code: 'doctor' });
      const { taskId } = await about.medication();
      await approve(taskId, leaving);
      const [held] = await clinic.find<PractitionerRole>('PractitionerRole', `practitioner=Practitioner/${leaving.profile.id}`);
      await clinic.admin.updateResource<PractitionerRole>({ ...(held as PractitionerRole), active: false });
      expect(await approve(taskId, pharmacist)).toMatchObject({
        success: true,
        businessStatus: 'awaiting-second',
        warnings: ['EARLIER_APPROVAL_LAPSED'],
      });
      expect(await about.written()).toEqual({ Task: 1 });
      expect(Case.values((await about.task(taskId as string)).output, 'approval')).toEqual([
        { reference: `Practitioner/${pharmacist.profile.id}` },
      ]);
      const [lapsed] = await trail('approval_refused');
      expect(lapsed?.outcomeDesc).toContain('NO_ACTIVE_ROLE');
      expect(JSON.stringify(lapsed)).toContain(`Practitioner/${leaving.profile.id}`);
      expect(await approve(taskId, physician)).toMatchObject({ status: 'completed' });
      const { agent } = await one<Provenance>('Provenance', `entity=Task/${taskId as string}`);
      expect(agent.slice(1).map(({ who }) => who.reference)).toEqual([
        `Practitioner/${pharmacist.profile.id}`,
        `Practitioner/${physician.profile.id}`,
      ]);
    });

    test('keeps what the first made of it though they have left: whoever changes more changes that, and says so', async () => {
      const leaving = await clinic.member();
      await role(clinic, leaving, { code: 'doctor' });
      const { taskId } = await about.medication({ dosage: '500 mg' });
      await approve(taskId, leaving, { modifications: { dosage: '250 mg' } });
      const [held] = await clinic.find<PractitionerRole>('PractitionerRole', `practitioner=Practitioner/${leaving.profile.id}`);
      await clinic.admin.updateResource<PractitionerRole>({ ...(held as PractitionerRole), active: false });
      const modifications = { rationale: 'HbA1c 7.9' };
      refused(await approve(taskId, physician, { modifications }), 'COMMAND_DIFFERS');
      refused(await approve(taskId, physician, { modifications: {} }), 'COMMAND_DIFFERS');
      const [commandSha256] = Case.values((await about.task(taskId as string)).output, 'modified-command-sha256');
      expect(await approve(taskId, physician, { modifications, commandSha256 })).toMatchObject({
        businessStatus: 'awaiting-second',
      });
      const [text] = Case.values((await about.task(taskId as string)).output, 'modified-command') as string[];
      expect(JSON.parse(text as string).parameters).toMatchObject({ dosage: '250 mg', rationale: 'HbA1c 7.9' });
    });

    test.each([
      ['is not active any more', 'INACTIVE_PRACTITIONER'],
      ['has another role now', 'ROLE_NOT_ALLOWED'],
    ] as const)('drops a first approver who %s', async (_name, reason) => {
      const leaving = await clinic.member();
      await role(clinic, leaving, { code: 'doctor' });
      const { taskId } = await about.medication();
      await approve(taskId, leaving);
      if (reason === 'INACTIVE_PRACTITIONER') {
        await clinic.admin.updateResource<Practitioner>({ ...leaving.profile, active: false });
      } else {
        const [held] = await clinic.find<PractitionerRole>('PractitionerRole', `practitioner=Practitioner/${leaving.profile.id}`);
        const code = [{ coding: [{ system: HL7_ROLES, code: 'pharmacist' }] }];
        await clinic.admin.updateResource<PractitionerRole>({ ...(held as PractitionerRole), code });
      }
      expect(await approve(taskId, pharmacist)).toMatchObject({ businessStatus: 'awaiting-second' });
      expect((await trail('approval_refused'))[0]?.outcomeDesc).toContain(reason);
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('both at once come to one execution', async () => {
      const { taskId } = await about.medication();
      const outputs = await Promise.all([approve(taskId, physician), approve(taskId, pharmacist)]);
      expect(outputs.map(({ status }) => status).sort()).toEqual(['completed', 'requested']);
      expect(await about.written()).toEqual({ Task: 1, MedicationRequest: 1 });
    });

    test('either may reject, also after the other has approved', async () => {
      const { taskId } = await about.medication();
      await approve(taskId, physician);
      expect(await about.decide(taskId, 'reject', pharmacist.client)).toMatchObject({ status: 'rejected' });
      refused(await approve(taskId, pharmacist), 'WRONG_STATUS');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('is needed where an interaction has appeared since', async () => {
      const current = await clinic.create<MedicationRequest>({
        resourceType: 'MedicationRequest',
        status: 'active',
        intent: 'order',
        subject: about.subject,
        medicationCodeableConcept: { text: 'acetaminophen 500 mg' },
      });
      const medication = { system: RXNORM, code: '5640', display: 'ibuprofen' };
      const { taskId } = await about.medication({ action: 'change', medication, currentMedicationId: current.id });
      expect(Case.values((await about.task(taskId as string)).input, 'approval-mode')).toEqual(['single']);
      await clinic.create<MedicationRequest>({
        resourceType: 'MedicationRequest',
        status: 'active',
        intent: 'order',
        subject: about.subject,
        medicationCodeableConcept: { text: 'warfarin 5 mg' },
      });
      expect(await approve(taskId, physician)).toMatchObject({ businessStatus: 'awaiting-second' });
      expect(await approve(taskId, pharmacist)).toMatchObject({ status: 'completed' });
    });
  });
});
