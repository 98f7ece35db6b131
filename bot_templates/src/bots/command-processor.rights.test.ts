import type { AccessPolicyResource, AuditEvent } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Clinic, type Output, useClinic } from '../../test/support/clinic.ts';
import { Case, RXNORM } from '../../test/support/commands.ts';
import { type ManifestBot, readManifest } from '../../test/support/manifest.ts';
import { tryPolicy } from '../../test/support/policy.ts';

describe('Command Processor Bot', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let about: Case;

  beforeEach(async () => {
    await clinic.setSecrets({});
    about = await Case.open(clinic);
  });

  const trail = (type: string) => about.trail(type);

  describe('keeps an audit trail', () => {
    test('of what was received, without a word of it', async () => {
      await about.note('Suicidal thoughts since Tuesday.');
      const [event] = await trail('command_received');
      expect(event?.agent.map(({ who }) => who?.reference)).toContain(`Practitioner/${clinic.doctor.profile.id}`);
      const events = [...(await trail('command_received')), ...(await trail('command_queued'))];
      expect(events).toHaveLength(2);
      expect(JSON.stringify(events)).not.toContain('uicidal');
    });

    test('and does nothing where it cannot be written', async () => {
      const { policy } = shipped();
      await clinic.setPolicy('command-processor', policy.filter(({ resourceType }) => resourceType !== 'AuditEvent'));
      try {
        const observation = await about.potassium();
        expect(await about.flag(observation.id)).toMatchObject({ success: false, errorCode: 'AUDIT_UNAVAILABLE' });
        expect(await about.note()).toMatchObject({ success: false, errorCode: 'AUDIT_UNAVAILABLE' });
        expect(await about.written()).toEqual({});
      } finally {
        await clinic.setPolicy('command-processor', policy);
      }
    });

    test('by which a command is found', async () => {
      const { commandId } = await about.note();
      const events = await clinic.find<AuditEvent>('AuditEvent', `entity-name=${commandId}`);
      expect(events).toHaveLength(2);
    });

    test('of one handed in on behalf of somebody else, which is refused', async () => {
      const profile = `Practitioner/${clinic.doctor.profile.id}`;
      const input = {
        command: 'CreateEncounterNoteDraft',
        patientId: about.patient.id,
        encounterId: about.encounter.id,
        confidence: 1,
        parameters: { noteType: 'progress', content: 'Feels well.' },
      };
      const headers = { 'X-Medplum-On-Behalf-Of': profile };
      expect(await clinic.execute('command-processor', input, clinic.admin, headers)).toMatchObject({
        success: false,
        errorCode: 'UNAUTHORIZED',
        details: { reason: 'ON_BEHALF_OF' },
      });
      expect(await about.written()).toEqual({});
      const events = await trail('command_blocked');
      expect(events).toHaveLength(1);
      expect(JSON.stringify(events)).toContain(profile);
    });

    test('that tells for whom a project admin acts', async () => {
      const headers = { 'X-Medplum-On-Behalf-Of': `Practitioner/${clinic.doctor.profile.id}` };
      const input = { command: 'LaunchRocket', patientId: about.patient.id, confidence: 1, parameters: {} };
      await clinic.execute('command-processor', input, clinic.admin, headers);
      expect(JSON.stringify(await trail('command_blocked'))).toContain('on-behalf-of');
    });
  });

  test('needs every permission of its policy, and no more', async () => {
    const trial = await tryPolicy(clinic, 'command-processor', () => everything(clinic));
    expect(trial.whole).not.toMatch(/INVALID|DB_ERROR|UNAUTHORIZED/);
    // Whoever writes the trail may read it: that is the contract of every bot.
    expect(trial.needless).toEqual(['AuditEvent read']);
  }, 300_000);
});

/** One of everything that the bot does; what came of it, without ids. */
async function* everything(clinic: Clinic): AsyncGenerator<unknown> {
  const about = await Case.open(clinic);
  const { subject } = about;
  const medicationReference = {
    reference: `Medication/${(await clinic.create({ resourceType: 'Medication', code: { text: 'metformin' } })).id}`,
  };
  const current = await clinic.create({ resourceType: 'MedicationRequest', status: 'active', intent: 'order', subject, medicationReference });
  const statement = await clinic.create({ resourceType: 'MedicationStatement', status: 'active', subject, medicationReference });
  const observation = await about.potassium();
  const records = [current, statement, observation, ...(await about.recordsOfEveryType())];
  const sources = records.map(({ resourceType, id }) => `${resourceType}/${id}`);
  const medication = { system: RXNORM, code: '6809', display: 'metformin 850 mg' };
  const told = (value: unknown): string => JSON.stringify(value).replace(/[0-9a-f-]{36}/g, 'ID');
  const after = ({ action, errorCode, message, duplicate, warnings }: Output): string =>
    told([action, errorCode, message, duplicate, warnings]);
  yield after(await about.note('Once.', { sources }));
  yield after(await about.note('Once.', { sources }));
  yield after(await about.flag(observation.id));
  yield after(await about.flag(observation.id));
  yield after(await about.medication({ action: 'change', medication, currentMedicationId: current.id }));
  const tasks = await about.tasks();
  yield tasks.map(({ code, input, requester }) => [code?.text, Case.values(input, 'approval-reason'), requester?.type]);
  const flag = await about.potassium(5.6);
  const byApproval = await about.flag(flag.id, 'abnormal', 'H');
  await about.decide(byApproval.taskId, 'approve', (await clinic.member('nurse')).client);
  if (byApproval.taskId) {
    await clinic.admin.deleteResource('Task', byApproval.taskId as string);
  }
  // What the Approval Queue Bot made counts as made.
  yield after(await about.flag(flag.id, 'abnormal', 'H'));
  yield about.written();
}

function shipped(): { policy: AccessPolicyResource[] } {
  return readManifest().bots['command-processor'] as ManifestBot;
}
