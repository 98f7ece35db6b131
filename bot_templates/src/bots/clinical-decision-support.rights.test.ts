import type { Encounter } from '@medplum/fhirtypes';
import { expect, test } from 'vitest';
import { type Output, useClinic } from '../../test/support/clinic.ts';
import { CDS, Deciding, Subscribed } from '../../test/support/deciding.ts';
import { type ManifestBot, readManifest } from '../../test/support/manifest.ts';
import { tryPolicy } from '../../test/support/policy.ts';
import { sourceWith } from '../../test/support/router.ts';

const clinic = useClinic([CDS, 'command-processor']);

/** One of everything that the bot does, and after each step what came of it, without ids. */
async function* everything(): AsyncGenerator<unknown> {
  const it = new Deciding(clinic);
  await clinic.setSecrets({ AUDIT_STORE_PROMPTS: 'hash' });
  await it.newPatient();
  const coded = (system: string, code: string) => ({ coding: [{ system, code }] });
  const { subject } = it;
  const medication = await clinic.create({ resourceType: 'Medication', code: { text: 'Warfarin' } });
  await it.order('', { medicationReference: { reference: `Medication/${medication.id}` } });
  const aspirin = await it.order('Aspirin');
  await it.statement('Ibuprofen');
  await it.allergy('Penicillin');
  await it.order('Amoxicillin');
  await it.potassium(6.8);
  await clinic.create({
    resourceType: 'Condition',
    subject,
    code: coded('http://hl7.org/fhir/sid/icd-10-cm', 'E11.9'),
  });
  await clinic.create({
    resourceType: 'Procedure',
    status: 'completed',
    subject,
    code: coded('http://snomed.info/sct', '73761001'),
    performedDateTime: today(),
  });
  await clinic.create({
    resourceType: 'Immunization',
    status: 'completed',
    patient: subject,
    vaccineCode: coded('http://hl7.org/fhir/sid/cvx', '216'),
    occurrenceDateTime: today(),
  });
  await clinic.create({
    resourceType: 'DiagnosticReport',
    status: 'final',
    subject,
    code: coded('http://loinc.org', '24606-6'),
    effectiveDateTime: today(),
  });
  const encounter = await clinic.create<Encounter>({
    resourceType: 'Encounter',
    status: 'in-progress',
    class: { code: 'AMB' },
    subject,
  });
  clinic.router.chat = (call) => ({
    differentials: [
      { condition: 'Hyperkalaemia', reasoning: [{ text: 'Potassium is 6.8.', citations: [sourceWith(call, '6.8')] }] },
    ],
  });
  yield told(await it.ask({ chiefComplaint: 'Palpitations' }));
  yield (await it.guidance()).map(({ performer }) => performer !== undefined);
  yield told(await it.ask({ chiefComplaint: 'Palpitations' }));
  yield told(await clinic.execute(CDS, encounter));
  yield told(await clinic.execute(CDS, aspirin));
  yield told(await clinic.execute(CDS, await clinic.admin.updateResource({ ...aspirin, status: 'stopped' })));
  yield [
    (await it.issues())
      .map(({ status, code, author }) => `${status} ${code?.coding?.[0]?.code} ${author !== undefined}`)
      .sort(),
    (await it.guidance()).map(({ performer }) => performer !== undefined),
    (await it.flags()).length,
    (await clinic.audits('decision_support', `&patient=Patient/${it.patientId}`)).length,
  ];
}

function told(output: Output): unknown {
  return {
    success: output.success,
    errorCode: output.errorCode,
    warnings: output.warnings,
    found: ['interactions', 'duplicates', 'allergyConflicts', 'criticalFindings'].map((name) =>
      output[name]?.map(({ rule }: { rule: string }) => rule)
    ),
    due: output.preventive?.map(({ rule, status }: { rule: string; status: string }) => `${rule} ${status}`),
    differentials: output.differentials?.length,
    written: output.issuesWritten,
    commands: output.commands?.map(({ action, duplicate }: { action: string; duplicate?: boolean }) => [
      action,
      duplicate,
    ]),
  };
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}

test('the shipped policy suffices, and nothing of it can be spared', async () => {
  const trial = await tryPolicy(clinic, CDS, everything);
  expect(trial.whole).not.toMatch(/UNAUTHORIZED|DB_ERROR|NOT_CONFIGURED|AUDIT_FAILED|failed/);
  // Whoever writes the trail may read it: that is the contract of every bot.
  expect(trial.needless).toEqual(['AuditEvent read']);
}, 180_000);

test('a type that it may not read stops it, by subscription visibly', async () => {
  const it = new Deciding(clinic);
  const subscribed = new Subscribed(clinic);
  await it.newPatient();
  const { policy } = readManifest().bots[CDS] as ManifestBot;
  await clinic.setPolicy(
    CDS,
    policy.filter(({ resourceType }) => resourceType !== 'MedicationStatement')
  );
  try {
    await it.order('Warfarin');
    expect(await it.ask()).toMatchObject({
      success: false,
      errorCode: 'UNAUTHORIZED',
      message: expect.stringContaining('MedicationStatement') as unknown,
    });
    await subscribed.start();
    const order = await it.order('Aspirin');
    expect(await subscribed.settled(`MedicationRequest/${order.id}`)).toMatchObject([{ outcome: '4' }]);
    expect(await it.issues()).toEqual([]);
  } finally {
    await clinic.setPolicy(CDS, policy);
  }
});
