import type {
  AccessPolicyResource,
  Claim,
  Communication,
  Condition,
  DocumentReference,
  Flag,
  MedicationRequest,
  Practitioner,
  PractitionerRole,
  Provenance,
  Resource,
  ServiceRequest,
  Task,
} from '@medplum/fhirtypes';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Clinic, type Member, type Output, useClinic } from '../../test/support/clinic.ts';
import { Case, ICD, RXNORM } from '../../test/support/commands.ts';
import { readManifest } from '../../test/support/manifest.ts';
import { exampleOf, expectOutput } from '../../test/support/page.ts';

const HL7_ROLES = 'http://terminology.hl7.org/CodeSystem/practitioner-role';

describe('Approval Queue Bot', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let about: Case;
  /** The doctor of the clinic hands commands in; these decide. */
  let physician: Member;
  let nurse: Member;
  let pharmacist: Member;

  beforeAll(async () => {
    physician = await clinic.member('doctor');
    nurse = await clinic.member('nurse');
    pharmacist = await clinic.member('pharmacist');
  });

  beforeEach(async () => {
    await clinic.setSecrets({});
    about = await Case.open(clinic);
  });

  const trail = (type: string) => clinic.audits(type, `&patient=Patient/${about.patient.id}`);
  const approve = (taskId: unknown, as: Member, more: object = {}): Promise<Output> =>
    about.decide(taskId, 'approve', as.client, more);
  const one = async <T extends Resource>(type: T['resourceType'], query = `patient=Patient/${about.patient.id}`): Promise<T> => {
    const found = await clinic.find<T>(type, query);
    expect(found).toHaveLength(1);
    return found[0] as T;
  };
  const refused = (output: Output, reason: string, errorCode = 'SAFETY_BLOCKED'): void => {
    expect(output).toMatchObject({ success: false, errorCode, details: { reason } });
  };

  describe.each([
    ['in one transaction', ['bots', 'transaction-bundles']],
    ['step by step, without the feature', ['bots']],
  ])('carries out what was approved, %s:', (_name, features) => {
    beforeAll(() => clinic.setFeatures(...features));

    test('a note, as a preliminary document of the model, with its origin and word to the requester', async () => {
      const observation = await about.potassium(4.2);
      const sources = [`Observation/${observation.id}`];
      const { taskId, commandId } = await about.note('# Progress\n\nGrüße, 血圧 120.', { sources });
      const output = await approve(taskId, physician);
      expect(output).toMatchObject({
        success: true,
        taskId,
        status: 'completed',
        businessStatus: 'executed',
        executedResourceType: 'DocumentReference',
      });
      const note = await one<DocumentReference>('DocumentReference');
      expect(note).toMatchObject({
        id: output.executedResourceId,
        status: 'current',
        docStatus: 'preliminary',
        meta: { security: [{ code: 'AIAST' }] },
        identifier: [{ system: 'urn:medbots/command', value: commandId }],
        type: { coding: [{ system: 'http://loinc.org', code: '11506-3' }] },
        category: [{ coding: [{ code: 'clinical-note' }] }],
        author: [{ reference: expect.stringMatching(/^Device\//) as unknown }],
        context: { encounter: [{ reference: `Encounter/${about.encounter.id}` }] },
      });
      const text = Buffer.from(note.content[0]?.attachment.data as string, 'base64').toString('utf8');
      expect(text).toBe('# Progress\n\nGrüße, 血圧 120.');
      const origin = await one<Provenance>('Provenance', `target=DocumentReference/${note.id}`);
      expect(origin).toMatchObject({
        id: output.provenanceId,
        target: [{ reference: `DocumentReference/${note.id}` }],
        reason: [{ coding: [{ code: 'AIAST' }] }],
      });
      const agents = origin.agent.map(({ type, who }) => [type?.coding?.[0]?.code, who.reference]);
      expect(agents).toEqual([
        ['author', note.author?.[0]?.reference],
        ['verifier', `Practitioner/${physician.profile.id}`],
      ]);
      expect(origin.entity?.map(({ what }) => what.reference)).toEqual([
        `Task/${taskId}`,
        `Encounter/${about.encounter.id}`,
        `Observation/${observation.id}`,
        `DocumentReference/${note.id}/_history/${note.meta?.versionId}`,
      ]);
      expect(origin.entity?.at(-1)?.role).toBe('derivation');
      const message = await one<Communication>('Communication', `subject=Patient/${about.patient.id}`);
      expect(message).toMatchObject({
        recipient: [{ reference: `Practitioner/${clinic.doctor.profile.id}` }],
        about: [{ reference: `Task/${taskId}` }],
      });
      expect(JSON.stringify(message)).not.toMatch(/Progress|血圧|Note/);
      const task = await about.task(taskId as string);
      expect(Case.values(task.output, 'result')).toEqual([{ reference: `DocumentReference/${note.id}` }]);
      expect(Case.values(task.output, 'provenance')).toEqual([{ reference: `Provenance/${origin.id}` }]);
      expect(Case.values(task.output, 'approval')).toEqual([{ reference: `Practitioner/${physician.profile.id}` }]);
      expect(Case.values(task.output, 'claim')).toEqual([]);
      expect(await trail('approval_granted')).toHaveLength(1);
      expect(await trail('command_executed')).toHaveLength(1);
    });

    test('a referral: the request and its letter, both drafts', async () => {
      const { taskId } = await about.referral();
      expect(await approve(taskId, physician)).toMatchObject({ status: 'completed', executedResourceType: 'ServiceRequest' });
      const letter = await one<DocumentReference>('DocumentReference');
      expect(letter.docStatus).toBe('preliminary');
      const request = await one<ServiceRequest>('ServiceRequest');
      expect(request).toMatchObject({
        status: 'draft',
        intent: 'proposal',
        priority: 'urgent',
        performerType: { text: 'Cardiology' },
        supportingInfo: [{ reference: `DocumentReference/${letter.id}` }],
        meta: { security: [{ code: 'AIAST' }] },
      });
      const origin = await one<Provenance>('Provenance', `target=ServiceRequest/${request.id}`);
      expect(origin.target.map(({ reference }) => reference)).toEqual([
        `DocumentReference/${letter.id}`,
        `ServiceRequest/${request.id}`,
      ]);
      expect(versionsOf(origin)).toEqual([
        `DocumentReference/${letter.id}/_history/${letter.meta?.versionId}`,
        `ServiceRequest/${request.id}/_history/${request.meta?.versionId}`,
      ]);
    });

    test('billing codes: a draft claim with diagnoses linked and no price', async () => {
      const coverage = await clinic.create({
        resourceType: 'Coverage',
        status: 'active',
        beneficiary: about.subject,
        payor: [{ display: 'Insurance' }],
      });
      const { taskId } = await about.billing();
      expect(await approve(taskId, physician)).toMatchObject({ status: 'completed', executedResourceType: 'Claim' });
      const claim = await one<Claim>('Claim');
      expect(claim).toMatchObject({
        status: 'draft',
        meta: { security: [{ code: 'AIAST' }] },
        insurance: [{ coverage: { reference: `Coverage/${coverage.id}` } }],
        diagnosis: [{ sequence: 1, diagnosisCodeableConcept: { coding: [{ code: 'I10' }] } }],
        item: [{ productOrService: { coding: [{ code: '99213' }] }, diagnosisSequence: [1] }],
      });
      expect(JSON.stringify(claim)).not.toMatch(/unitPrice|"net"|"total"|"currency"/);
    });

    test('a new problem, provisional', async () => {
      const condition = { system: ICD, code: 'I10', display: 'Essential hypertension' };
      const { taskId } = await about.problem({ action: 'add', condition });
      expect(await approve(taskId, physician)).toMatchObject({ status: 'completed' });
      expect(await one<Condition>('Condition')).toMatchObject({
        clinicalStatus: { coding: [{ code: 'active' }] },
        verificationStatus: { coding: [{ code: 'provisional' }] },
        category: [{ coding: [{ code: 'problem-list-item' }] }],
        code: { coding: [condition] },
        meta: { security: [{ code: 'AIAST' }] },
      });
    });

    test('the end of a problem, on the version that was looked at', async () => {
      const before = await about.condition();
      const { taskId } = await about.problem({ action: 'resolve', conditionId: before.id });
      expect(await approve(taskId, physician)).toMatchObject({ status: 'completed', executedResourceId: before.id });
      const now = await one<Condition>('Condition');
      expect(now).toMatchObject({
        id: before.id,
        clinicalStatus: { coding: [{ code: 'resolved' }] },
        code: before.code,
        meta: { security: [{ code: 'AIAST' }] },
      });
      const origin = await one<Provenance>('Provenance', `target=Condition/${before.id}`);
      expect(origin.entity?.at(-2)).toMatchObject({
        role: 'revision',
        what: { reference: `Condition/${before.id}/_history/${before.meta.versionId}` },
      });
      expect(versionsOf(origin)).toEqual([`Condition/${before.id}/_history/${now.meta?.versionId}`]);
    });

    test('a stop of a medication as a proposal that says not to', async () => {
      const current = await clinic.create<MedicationRequest>({
        resourceType: 'MedicationRequest',
        status: 'active',
        intent: 'order',
        subject: about.subject,
        medicationCodeableConcept: { coding: [{ system: RXNORM, code: '6809', display: 'metformin' }] },
      });
      const { taskId } = await about.medication({ action: 'stop', currentMedicationId: current.id });
      expect(await approve(taskId, physician)).toMatchObject({ status: 'completed' });
      const requests = await clinic.find<MedicationRequest>('MedicationRequest', `patient=Patient/${about.patient.id}`);
      const proposal = requests.find(({ id }) => id !== current.id);
      expect(proposal).toMatchObject({
        status: 'draft',
        intent: 'proposal',
        doNotPerform: true,
        priorPrescription: { reference: `MedicationRequest/${current.id}` },
        requester: { reference: expect.stringMatching(/^Device\//) as unknown },
      });
      expect(requests.find(({ id }) => id === current.id)?.status).toBe('active');
    });

    test('a flag that was not borne out, once a nurse has approved it', async () => {
      const observation = await about.potassium(5.6);
      const { taskId } = await about.flag(observation.id, 'abnormal', 'H');
      expect(await approve(taskId, nurse)).toMatchObject({ status: 'completed', executedResourceType: 'Flag' });
      expect((await one<Flag>('Flag')).code.text).toBe('High: Potassium');
    });

    test('once, however many approve at once', async () => {
      const others = [physician, nurse, await clinic.member('doctor'), await clinic.member('nurse')];
      const { taskId } = await about.note();
      const outputs = await Promise.all([...others, ...others].map((each) => approve(taskId, each)));
      expect(outputs.every(({ success }) => success)).toBe(true);
      expect(outputs.filter(({ alreadyDone }) => !alreadyDone)).toHaveLength(1);
      const note = await one<DocumentReference>('DocumentReference');
      await one<Provenance>('Provenance', `target=DocumentReference/${note.id}`);
      await one<Communication>('Communication', `subject=Patient/${about.patient.id}`);
      expect(await trail('command_executed')).toHaveLength(1);
      expect((await about.task(taskId as string)).status).toBe('completed');
    });
  });

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
    ['once, with transactions', 1, ['bots', 'transaction-bundles']],
    ['once, without', 1, ['bots']],
    ['twice, without', 2, ['bots']],
  ])('who says beforehand what the bot will say does not silence it: %s', async (_name, copies, features) => {
    await clinic.setFeatures(...features);
    const condition = await about.condition();
    const { taskId } = await about.problem({ action: 'resolve', conditionId: condition.id });
    const [device] = await clinic.find('Device', '');
    for (let copy = 0; copy < copies; copy++) {
      await clinic.doctor.client.createResource<Provenance>({
        resourceType: 'Provenance',
        target: [{ reference: `Condition/${condition.id}` }],
        recorded: '2026-01-01T00:00:00Z',
        agent: [{ who: { reference: `Device/${device?.id}` } }],
        entity: [{ role: 'source', what: { reference: `Task/${taskId}` } }],
      });
      await clinic.doctor.client.createResource<Communication>({
        resourceType: 'Communication',
        identifier: [{ system: 'urn:medbots/notice', value: `${taskId}-executed` }],
        status: 'completed',
        subject: about.subject,
        payload: [{ contentString: 'Nothing was done.' }],
      });
    }
    const { provenanceId } = await approve(taskId, physician);
    const origin = await clinic.admin.readResource('Provenance', provenanceId as string);
    expect(origin.agent.map(({ who }) => who.reference)).toContain(`Practitioner/${physician.profile.id}`);
    const messages = await clinic.find<Communication>('Communication', `subject=Patient/${about.patient.id}`);
    const said = messages.flatMap(({ payload = [] }) => payload.map(({ contentString }) => contentString));
    expect(said.filter((text) => text === 'A command that you handed in was approved and carried out.')).toHaveLength(1);
    expect(await clinic.find('Provenance', `target=Condition/${condition.id}`)).toHaveLength(copies + 1);
  });

  test('an approval of what is done is answered, and does nothing', async () => {
    const { taskId } = await about.note();
    const first = await approve(taskId, physician);
    expect(await approve(taskId, physician)).toEqual({ ...first, alreadyDone: true });
    expect(await approve(taskId, nurse)).toMatchObject({ alreadyDone: true });
    expect(await about.written()).toEqual({ Task: 1, DocumentReference: 1 });
    refused(await about.decide(taskId, 'reject', nurse.client), 'WRONG_STATUS');
  });

  test('an approver who says what they saw approves that and nothing else', async () => {
    const { taskId, commandId } = await about.note();
    refused(await approve(taskId, physician, { commandSha256: 'f'.repeat(64) }), 'COMMAND_DIFFERS');
    expect(await approve(taskId, physician, { commandSha256: commandId as string })).toMatchObject({ status: 'completed' });
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

  test("the page's example", async () => {
    const { taskId } = await about.note();
    const { input, output } = exampleOf('approval-queue', { TASK_ID: taskId as string });
    expectOutput(await clinic.execute('approval-queue', input, physician.client), output);
  });
});

/** The versions that a Provenance is about. */
function versionsOf({ entity = [] }: Provenance): (string | undefined)[] {
  return entity.filter(({ role: each }) => each === 'derivation').map(({ what }) => what.reference);
}

/** Gives somebody a role, by default an active one. */
async function role(
  clinic: Clinic,
  { profile }: Member,
  { code, system = HL7_ROLES, ...more }: { code: string; system?: string } & Partial<Omit<PractitionerRole, 'code'>>
): Promise<void> {
  await clinic.create<PractitionerRole>({
    resourceType: 'PractitionerRole',
    active: true,
    practitioner: { reference: `Practitioner/${profile.id}` },
    code: [{ coding: [{ system, code }] }],
    ...more,
  } as PractitionerRole);
}
