import type {
  Claim,
  Communication,
  Condition,
  DocumentReference,
  Flag,
  MedicationRequest,
  Provenance,
  ServiceRequest,
} from '@medplum/fhirtypes';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { approvers, approving, refused, versionsOf } from '../../test/support/approving.ts';
import { type Member, useClinic } from '../../test/support/clinic.ts';
import { Case, ICD, RXNORM } from '../../test/support/commands.ts';
import { exampleOf, expectOutput } from '../../test/support/page.ts';

describe('Approval Queue Bot', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let about: Case;
  let physician: Member;
  let nurse: Member;

  beforeAll(async () => {
    ({ physician, nurse } = await approvers(clinic));
  });

  beforeEach(async () => {
    await clinic.setSecrets({});
    about = await Case.open(clinic);
  });

  const { approve, one, trail } = approving(() => about);

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

  test("the page's example", async () => {
    const { taskId } = await about.note();
    const { input, output } = exampleOf('approval-queue', { TASK_ID: taskId as string });
    expectOutput(await clinic.execute('approval-queue', input, physician.client), output);
  });
});
