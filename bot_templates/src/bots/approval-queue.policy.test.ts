import type { MedplumClient } from '@medplum/core';
import type { Claim, Condition, DocumentReference, Flag, Provenance, Resource, Task } from '@medplum/fhirtypes';
import { expect, test } from 'vitest';
import { type Clinic, type Member, type Output, useClinic } from '../../test/support/clinic.ts';
import { Case, ICD, RXNORM } from '../../test/support/commands.ts';
import { tryPolicy } from '../../test/support/policy.ts';
import { AI_LABEL } from '../lib/commands/label.ts';

const clinic = useClinic(['command-processor', 'approval-queue']);

test('the Approval Queue Bot needs every permission of its policy, and no more', async () => {
  const physician = await clinic.member('doctor');
  const pharmacist = await clinic.member('pharmacist');
  const bot = clinic.clientWith(await clinic.tokenOf('approval-queue'), fetch);
  const trial = await tryPolicy(clinic, 'approval-queue', () => everything(clinic, { physician, pharmacist, bot }));
  expect(trial.whole).not.toMatch(/INVALID|DB_ERROR|UNAUTHORIZED/);
  expect(trial.needless).toEqual(['AuditEvent read']);
}, 600_000);

test('its credential changes nothing but what the bot has to change, and only in the way that it does', async () => {
  await clinic.setFeatures('bots');
  const about = await Case.open(clinic);
  const bot = clinic.clientWith(await clinic.tokenOf('approval-queue'), fetch);
  const may = (resource: Resource): Promise<string> =>
    bot.updateResource(resource).then(
      () => 'done',
      (error: { outcome?: { id?: string } }) => error.outcome?.id ?? 'failed'
    );
  const physician = await clinic.member('doctor');
  const { taskId } = await about.note();
  const task = await about.task(taskId as string);
  const ward = await clinic.create<Task>({ resourceType: 'Task', status: 'requested', intent: 'order', for: about.subject });
  expect(await may({ ...ward, status: 'completed' })).toBe('forbidden');
  expect(await may({ ...ward, code: task.code as NonNullable<Task['code']> })).toBe('forbidden');
  expect(await may({ ...task, status: 'accepted' })).toBe('forbidden');
  expect(await may({ ...task, status: 'entered-in-error' })).toBe('forbidden');
  expect(await may({ ...task, description: 'x' })).toBe('done');

  const condition = await about.condition();
  const label = { meta: { ...condition.meta, security: [AI_LABEL] } };
  const resolved: Partial<Condition> = {
    clinicalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'resolved' }] },
  };
  const other = { reference: `Patient/${(await clinic.create({ resourceType: 'Patient' })).id}` };
  expect(await may({ ...condition, ...resolved })).toBe('forbidden');
  expect(await may({ ...condition, ...label })).toBe('forbidden');
  expect(await may({ ...condition, ...label, ...resolved, subject: other })).toBe('forbidden');
  expect(await may({ ...condition, ...label, ...resolved })).toBe('done');

  const approved = await about.decide(taskId, 'approve', physician.client);
  const note = (await clinic.admin.readResource('DocumentReference', approved.executedResourceId as string)) as DocumentReference;
  const void_ = { ...note, status: 'entered-in-error', docStatus: 'entered-in-error' } as const;
  expect(await may({ ...note, docStatus: 'final' })).toBe('forbidden');
  expect(await may({ ...void_, content: [{ attachment: { title: 'another' } }] })).toBe('forbidden');
  expect(await may({ ...void_, subject: other })).toBe('forbidden');
  const human = await clinic.create<DocumentReference>({ ...note, id: undefined, meta: undefined } as never);
  expect(await may({ ...human, status: 'entered-in-error' })).toBe('forbidden');
  expect(await may(void_)).toBe('done');

  const origin = (await clinic.admin.readResource('Provenance', approved.provenanceId as string)) as Provenance;
  expect(await may({ ...origin, target: [{ reference: `Task/${taskId as string}` }] })).toBe('forbidden');
  expect(await may({ ...origin, agent: origin.agent.slice(0, 1) })).toBe('forbidden');
  expect(await may({ ...origin, recorded: '2026-01-01T00:00:00Z' })).toBe('forbidden');
  expect(await may({ ...origin, entity: [] })).toBe('forbidden');
  expect(await may({ ...origin, entity: (origin.entity ?? []).slice(1) })).toBe('forbidden');
  expect(await may({ ...origin, reason: [{ text: 'x' }] })).toBe('forbidden');
  const version = { role: 'derivation', what: { reference: `DocumentReference/${note.id}/_history/1` } } as const;
  const { id: _, meta: __, reason: ___, ...said } = origin;
  const ofOthers = await clinic.create<Provenance>({ ...said, resourceType: 'Provenance' } as Provenance);
  expect(await may({ ...ofOthers, entity: [...(ofOthers.entity ?? []), version] })).toBe('forbidden');
  expect(await may({ ...origin, entity: [...(origin.entity ?? []), version] })).toBe('done');
});

/** One of everything that the bot does; after each step what came of it, without ids. */
async function* everything(
  clinic: Clinic,
  { physician, pharmacist, bot }: { physician: Member; pharmacist: Member; bot: MedplumClient }
): AsyncGenerator<unknown> {
  await clinic.setFeatures('bots');
  const about = await Case.open(clinic);
  const { subject } = about;
  const medicationReference = {
    reference: `Medication/${(await clinic.create({ resourceType: 'Medication', code: { text: 'metformin' } })).id}`,
  };
  const current = await clinic.create({ resourceType: 'MedicationRequest', status: 'active', intent: 'order', subject, medicationReference });
  const statement = await clinic.create({ resourceType: 'MedicationStatement', status: 'active', subject, medicationReference });
  const observation = await about.potassium(5.6);
  const condition = await about.condition();
  await clinic.create({ resourceType: 'Coverage', status: 'active', beneficiary: subject, payor: [{ display: 'x' }] });
  const records = await about.recordsOfEveryType();
  const sources = [...records, current, statement, observation].map(({ resourceType, id }) => `${resourceType}/${id}`);
  const medication = { system: RXNORM, code: '6809', display: 'metformin 850 mg' };
  const submit = (): Promise<Output[]> =>
    Promise.all([
      about.note('Once.', { sources }),
      about.flag(observation.id, 'abnormal', 'H'),
      about.referral(),
      about.billing(),
      about.problem({ action: 'add', condition: { system: ICD, code: 'I10', display: 'HT' } }),
      about.problem({ action: 'resolve', conditionId: condition.id }),
      about.medication({ action: 'change', medication, currentMedicationId: current.id }),
    ]);
  const approve = (submitted: readonly Output[], by: Member): Promise<Output[]> =>
    Promise.all(submitted.map(({ taskId }) => about.decide(taskId, 'approve', by.client)));
  const told = async (outputs: readonly Output[]): Promise<string[]> =>
    [
      ...outputs.map(({ success, errorCode, message, status, businessStatus, warnings }) => [success, errorCode, message, status, businessStatus, warnings]),
      await about.written(),
    ].map((each) => JSON.stringify(each).replace(/[0-9a-f-]{36}/g, 'ID'));
  const first = await submit();
  yield told(await approve(first, physician));
  const claims = await clinic.find<Claim>('Claim', `patient=Patient/${about.patient.id}`);
  yield claims.map(({ insurance }) => insurance[0]?.coverage.display);
  const { taskId } = await about.note('Waiting.');
  yield told([
    await about.decide((await about.note('No.')).taskId, 'reject', physician.client),
    await clinic.execute('approval-queue', { action: 'sweep' }),
    await clinic.execute('approval-queue', { resourceType: 'Task', id: taskId, meta: {} }),
  ]);
  // A Flag that a run made before it crashed.
  const low = await about.flag((await about.potassium(3.3)).id, 'abnormal', 'L');
  const flag: Flag = {
    resourceType: 'Flag',
    meta: { security: [AI_LABEL] },
    identifier: [{ system: 'urn:medbots/command', value: low.commandId as string }],
    status: 'active',
    code: { text: 'x' },
    subject,
  };
  await bot.createResource(flag).catch(() => undefined);
  yield told(await approve([low], physician));
  // A letter that a run made before it crashed, and whose referral cannot be made any more.
  const referral = await about.referral({ reason: 'Another murmur' });
  const carrying = {
    meta: { security: [AI_LABEL] },
    subject,
    identifier: [{ system: 'urn:medbots/command', value: referral.commandId as string }],
  };
  await bot
    .createResource({ resourceType: 'DocumentReference', status: 'current', content: [{ attachment: { title: 'x' } }], ...carrying })
    .catch(() => undefined);
  await clinic.create({ resourceType: 'ServiceRequest', status: 'draft', intent: 'proposal', ...carrying });
  yield told(await approve([referral], physician));
  const letters = await clinic.find<DocumentReference>('DocumentReference', `patient=Patient/${about.patient.id}`);
  yield letters.map(({ status }) => status).sort();
  // In one transaction, whose versions are told afterwards.
  await clinic.setFeatures('bots', 'transaction-bundles');
  const [atOnce] = await approve([await about.note('At once.')], physician);
  const origins = await clinic.find<Provenance>('Provenance', `_id=${(atOnce?.provenanceId as string) ?? 'none'}`);
  await clinic.setFeatures('bots');
  yield [...(await told([atOnce as Output])), origins.map(({ entity = [] }) => entity.map(({ role }) => role))];
  const started = await about.medication({});
  yield told([...(await approve([started], physician)), ...(await approve([started], pharmacist))]);
  // The same once more from a new Task: what was made is found, and found to be ours.
  const repeatable = (submitted: readonly Output[]): Output[] => submitted.filter((_, index) => index !== 1 && index !== 5);
  await Promise.all(repeatable(first).map(({ taskId: done }) => clinic.admin.deleteResource('Task', done as string)));
  yield told(await approve(repeatable(await submit()), physician));
}
