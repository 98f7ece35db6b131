import type { Flag, Provenance } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { useClinic } from '../../test/support/clinic.ts';
import { Case, INTERPRETATION } from '../../test/support/commands.ts';

describe('Command Processor Bot', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let about: Case;

  beforeEach(async () => {
    await clinic.setSecrets({});
    about = await Case.open(clinic);
  });

  const trail = (type: string) => about.trail(type);

  describe('executes', () => {
    test('a critical flag that the table of limits bears out, at once, labelled and with its origin', async () => {
      const observation = await about.potassium(6.8);
      const output = await about.flag(observation.id);
      expect(output).toMatchObject({ success: true, action: 'executed', executedResourceType: 'Flag' });
      const [flag, other] = await clinic.find<Flag>('Flag', `patient=Patient/${about.patient.id}`);
      expect(other).toBeUndefined();
      expect(flag).toMatchObject({
        id: output.executedResourceId,
        status: 'active',
        meta: { security: [{ code: 'AIAST' }] },
        identifier: [{ system: 'urn:medbots/command', value: output.commandId }],
        code: { coding: [{ system: INTERPRETATION, code: 'HH' }], text: 'Critical high: Potassium' },
        author: { reference: expect.stringMatching(/^Device\//) as unknown },
        subject: about.subject,
      });
      expect(JSON.stringify(flag?.extension)).toContain(`Observation/${observation.id}`);
      const [origin, second] = await clinic.find<Provenance>('Provenance', `target=Flag/${flag?.id}`);
      expect(second).toBeUndefined();
      expect(origin).toMatchObject({
        id: output.provenanceId,
        reason: [{ coding: [{ code: 'AIAST' }] }],
        agent: [{ who: { reference: flag?.author?.reference } }],
        entity: [
          { role: 'source', what: { reference: `Observation/${observation.id}` } },
          { role: 'derivation', what: { reference: `Flag/${flag?.id}/_history/${flag?.meta?.versionId}` } },
        ],
      });
      expect(await trail('command_executed')).toHaveLength(1);
      expect(await about.written()).toEqual({ Flag: 1 });
    });

    test('the same command again once only: no second Flag, no second Provenance, duplicate', async () => {
      const observation = await about.potassium();
      const first = await about.flag(observation.id);
      const again = await about.flag(observation.id, 'critical', 'HH', { confidence: 0.7, aiModel: 'another' });
      expect(again).toMatchObject({
        success: true,
        action: 'executed',
        duplicate: true,
        commandId: first.commandId,
        executedResourceId: first.executedResourceId,
        provenanceId: first.provenanceId,
      });
      expect(await about.written()).toEqual({ Flag: 1 });
      expect(await trail('command_executed')).toHaveLength(1);
    });

    test('six at once make one Flag and one Provenance; one of the answers is no duplicate', async () => {
      const observation = await about.potassium();
      const outputs = await Promise.all(Array.from({ length: 6 }, () => about.flag(observation.id)));
      expect(outputs.every(({ action }) => action === 'executed')).toBe(true);
      expect(outputs.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
      const [flag] = await clinic.find<Flag>('Flag', `patient=Patient/${about.patient.id}`);
      expect(await clinic.find('Provenance', `target=Flag/${flag?.id}`)).toHaveLength(1);
      expect(await about.written()).toEqual({ Flag: 1 });
    });

    test('again what a crash left half: the Flag is there, its Provenance is made', async () => {
      const observation = await about.potassium();
      const { provenanceId, executedResourceId } = await about.flag(observation.id);
      await clinic.admin.deleteResource('Provenance', provenanceId as string);
      const again = await about.flag(observation.id);
      expect(again).toMatchObject({ duplicate: true, executedResourceId });
      expect(await clinic.find('Provenance', `target=Flag/${executedResourceId}`)).toHaveLength(1);
    });

    test('a flag whose Task still waits; who approves that one then finds it done', async () => {
      const observation = await about.potassium(6.8, { status: 'preliminary' });
      const { taskId } = await about.flag(observation.id);
      await clinic.admin.updateResource({ ...observation, status: 'final' });
      const done = await about.flag(observation.id);
      expect(done).toMatchObject({ action: 'executed' });
      const approved = await about.decide(taskId, 'approve', (await clinic.member('nurse')).client);
      expect(approved).toMatchObject({ success: true, executedResourceId: done.executedResourceId });
      expect(await about.task(taskId as string)).toMatchObject({ status: 'completed' });
      expect(await clinic.find<Flag>('Flag', `patient=Patient/${about.patient.id}`)).toHaveLength(1);
    });

    test('a flag that a clinician has closed since stays as it is', async () => {
      const observation = await about.potassium();
      const { executedResourceId } = await about.flag(observation.id);
      const flag = (await clinic.admin.readResource('Flag', executedResourceId as string)) as Flag;
      await clinic.doctor.client.updateResource<Flag>({ ...flag, status: 'inactive' });
      expect(await about.flag(observation.id)).toMatchObject({ duplicate: true, executedResourceId });
      const [now] = await clinic.find<Flag>('Flag', `patient=Patient/${about.patient.id}`);
      expect(now?.status).toBe('inactive');
    });
  });

  describe('asks for approval of a flag', () => {
    test.each([
      ['a severity beyond the result', 5.6, 'critical', 'H', [[3.5, 5.1]], undefined],
      ['HH that only a range bears out', 5.6, 'abnormal', 'HH', [[3.5, 5.1]], undefined],
      ['the other direction', 6.8, 'critical', 'LL', [], undefined],
      ['a result within its range', 4.2, 'abnormal', 'H', [[3.5, 5.1]], undefined],
      ['no range and no code', 5.6, 'abnormal', 'H', [], undefined],
      ['a code that contradicts the range', 4.2, 'abnormal', 'H', [[3.5, 5.1]], 'H'],
      ['a code N beside a high value', 5.6, 'abnormal', 'H', [[3.5, 5.1]], 'N'],
      ['two ranges, of which nobody knows which', 5.6, 'abnormal', 'H', [[3.5, 5.1], [3.5, 5.8]], undefined],
    ] as const)('for %s', async (_name, value, severity, code, ranges, coded) => {
      const observation = await about.potassium(value, {
        referenceRange: ranges.map(([low, high]) => ({ low: potassium(low), high: potassium(high) })),
        ...(coded ? { interpretation: [{ coding: [{ system: INTERPRETATION, code: coded }] }] } : {}),
      });
      const output = await about.flag(observation.id, severity, code);
      expect(output).toMatchObject({ success: true, action: 'queued' });
      const task = await about.task(output.taskId as string);
      expect(Case.values(task.input, 'approval-reason')).toContain('NOT_VERIFIED');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('for a result that is preliminary, or that a model made', async () => {
      const preliminary = await about.potassium(6.8, { status: 'preliminary' });
      expect(await about.flag(preliminary.id)).toMatchObject({ action: 'queued' });
      const made = await about.potassium(6.9, {
        meta: {
          security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'AIAST' }],
        },
      });
      expect(await about.flag(made.id)).toMatchObject({ action: 'queued' });
    });

    test.each([
      ['the laboratory says HH', 5.0, 'critical', 'HH', [], 'HH'],
      ['the laboratory says H', 5.0, 'abnormal', 'H', [], 'H'],
      ['it is above its range', 5.6, 'abnormal', 'H', [[3.5, 5.1]], undefined],
      ['it is below its range', 3.1, 'abnormal', 'L', [[3.5, 5.1]], undefined],
      ['abnormal is less than is borne out', 6.8, 'abnormal', 'H', [], undefined],
    ] as const)('but not where %s', async (_name, value, severity, code, ranges, coded) => {
      const observation = await about.potassium(value, {
        referenceRange: ranges.map(([low, high]) => ({ low: potassium(low), high: potassium(high) })),
        ...(coded ? { interpretation: [{ coding: [{ system: INTERPRETATION, code: coded }] }] } : {}),
      });
      expect(await about.flag(observation.id, severity, code)).toMatchObject({ action: 'executed' });
    });

    test('K 6.8 mg/dL, which is no unit of potassium, bears out nothing', async () => {
      const observation = await about.potassium(6.8, {
        valueQuantity: { value: 6.8, unit: 'mg/dL', system: 'http://unitsofmeasure.org', code: 'mg/dL' },
      });
      expect(await about.flag(observation.id)).toMatchObject({ action: 'queued' });
    });
  });

  describe('in quiet hours', () => {
    const allDay = { QUIET_HOURS: '00:00-00:00', QUIET_HOURS_TZ: 'Europe/Zurich' };

    test('an automatic flag waits, a critical one that is borne out does not', async () => {
      await clinic.setSecrets(allDay);
      const high = await about.potassium(5.6, { referenceRange: [{ low: potassium(3.5), high: potassium(5.1) }] });
      const waiting = await about.flag(high.id, 'abnormal', 'H');
      expect(waiting).toMatchObject({ action: 'queued' });
      const task = await about.task(waiting.taskId as string);
      expect(Case.values(task.input, 'approval-reason')).toEqual(['QUIET_HOURS']);
      const critical = await about.potassium(6.9);
      expect(await about.flag(critical.id)).toMatchObject({ action: 'executed' });
      // In the morning it needs nobody: handed in again it is carried out, whatever becomes of the Task.
      await clinic.setSecrets({});
      expect(await about.flag(high.id, 'abnormal', 'H')).toMatchObject({ action: 'executed' });
      expect(await about.flag(high.id, 'abnormal', 'H')).toMatchObject({ action: 'executed', duplicate: true });
    });

    test('without a time zone are at every hour, and each answer warns of it', async () => {
      await clinic.setSecrets({ QUIET_HOURS: '00:00-00:01' });
      const high = await about.potassium(5.6, { referenceRange: [{ low: potassium(3.5), high: potassium(5.1) }] });
      const warnings = ['QUIET_HOURS_INCOMPLETE'];
      expect(await about.flag(high.id, 'abnormal', 'H')).toMatchObject({ action: 'queued', warnings });
      const critical = await about.potassium(6.9);
      expect(await about.flag(critical.id)).toMatchObject({ action: 'executed', warnings });
      expect(await about.note('Sleeps.', { confidence: 0.4 })).toMatchObject({ action: 'blocked', warnings });
    });

    test('of a time zone without hours are off, and each answer warns of it', async () => {
      await clinic.setSecrets({ QUIET_HOURS_TZ: 'Europe/Zurich' });
      const observation = await about.potassium(6.8);
      const output = await about.flag(observation.id, 'abnormal', 'H');
      expect(output).toMatchObject({ action: 'executed', warnings: ['QUIET_HOURS_INCOMPLETE'] });
    });

    test.each([
      { QUIET_HOURS: 'at night', QUIET_HOURS_TZ: 'Europe/Zurich' },
      { QUIET_HOURS: '22:00-25:00', QUIET_HOURS_TZ: 'Europe/Zurich' },
      { QUIET_HOURS: '22:00-06:00', QUIET_HOURS_TZ: 'Middle/Earth' },
    ])('that are not understood are NOT_CONFIGURED: %j', async (secrets) => {
      await clinic.setSecrets(secrets);
      const observation = await about.potassium(6.8);
      expect(await about.flag(observation.id)).toMatchObject({ success: false, errorCode: 'NOT_CONFIGURED' });
      expect(await about.written()).toEqual({});
    });
  });

  test('who says beforehand where a flag will come from does not silence the bot', async () => {
    const observation = await about.potassium();
    const first = await about.flag(observation.id);
    const said = await clinic.admin.readResource('Provenance', first.provenanceId as string);
    await clinic.admin.deleteResource('Provenance', first.provenanceId as string);
    const { id: _, meta: __, ...copy } = said;
    const planted = await clinic.doctor.client.createResource<Provenance>({ ...copy, agent: [copy.agent[0] as never] });
    const again = await about.flag(observation.id);
    expect(again).toMatchObject({ duplicate: true, executedResourceId: first.executedResourceId });
    expect(again.provenanceId).not.toBe(planted.id);
    // And what the bot has said stays the only one of its own.
    expect(await about.flag(observation.id)).toMatchObject({ provenanceId: again.provenanceId });
    expect(await clinic.find('Provenance', `target=Flag/${first.executedResourceId as string}`)).toHaveLength(2);
  });

  test('a flag names the version that was written, also when it has been edited since', async () => {
    const observation = await about.potassium();
    const { executedResourceId: id, provenanceId } = await about.flag(observation.id);
    const flag = (await clinic.admin.readResource('Flag', id as string)) as Flag;
    await clinic.admin.deleteResource('Provenance', provenanceId as string);
    await clinic.doctor.client.updateResource<Flag>({ ...flag, status: 'inactive' });
    const again = await about.flag(observation.id);
    const origin = (await clinic.admin.readResource('Provenance', again.provenanceId as string)) as Provenance;
    expect(origin.entity?.at(-1)).toMatchObject({
      role: 'derivation',
      what: { reference: `Flag/${id as string}/_history/${flag.meta?.versionId}` },
    });
  });
});

function potassium(value: number): { value: number; unit: string; system: string; code: string } {
  return { value, unit: 'mmol/L', system: 'http://unitsofmeasure.org', code: 'mmol/L' };
}
