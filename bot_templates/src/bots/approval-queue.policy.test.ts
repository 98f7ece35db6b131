import type { MedplumClient } from '@medplum/core';
import type { Claim, Flag } from '@medplum/fhirtypes';
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

/** One of everything that the bot does; after each step what came of it, without ids. */
async function* everything(
  clinic: Clinic,
  { physician, pharmacist, bot }: { physician: Member; pharmacist: Member; bot: MedplumClient }
): AsyncGenerator<unknown> {
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
  const started = await about.medication({});
  yield told([...(await approve([started], physician)), ...(await approve([started], pharmacist))]);
  // The same once more from a new Task: what was made is found, and found to be ours.
  const repeatable = (submitted: readonly Output[]): Output[] => submitted.filter((_, index) => index !== 1 && index !== 5);
  await Promise.all(repeatable(first).map(({ taskId: done }) => clinic.admin.deleteResource('Task', done as string)));
  yield told(await approve(repeatable(await submit()), physician));
}
