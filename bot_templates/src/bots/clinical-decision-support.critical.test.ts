import type { Task } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { useClinic } from '../../test/support/clinic.ts';
import { CDS, Deciding } from '../../test/support/deciding.ts';

describe('Clinical Decision Support Bot', () => {
  const clinic = useClinic([CDS, 'command-processor']);
  const it = new Deciding(clinic);

  beforeEach(async () => {
    await clinic.setSecrets({});
    await it.newPatient();
  });

  describe('critical results', () => {
    const ask = (more: object = {}) => it.ask({ analysisTypes: ['critical'], ...more });

    test('K 6.8 mmol/L gives exactly one Flag, however often it is asked', async () => {
      const observation = await it.potassium(6.8);
      const first = await ask();
      expect(first).toMatchObject({
        criticalFindings: [
          { observation: `Observation/${observation.id}`, rule: 'potassium', interpretation: 'HH', superseded: false },
        ],
        commands: [{ action: 'executed', observation: `Observation/${observation.id}` }],
      });
      await ask();
      await Promise.all([ask(), it.ask()]);
      const found = await it.flags();
      expect(found).toHaveLength(1);
      expect(first.commands[0].flag).toBe(`Flag/${found[0]?.id}`);
    });

    test('K 6.8 mg/dL is a mismatch of units and no Flag', async () => {
      const observation = await it.potassium(6.8, 'mg/dL');
      const output = await ask();
      expect(output).toMatchObject({
        criticalFindings: [],
        unitMismatches: [{ observation: `Observation/${observation.id}`, reason: 'UNIT_MISMATCH' }],
        commands: [],
      });
      expect(output.warnings).toContain('UNIT_MISMATCH');
      expect(await it.flags()).toEqual([]);
    });

    test('a result that a later one followed is told, and not flagged', async () => {
      const hoursAgo = (hours: number) => ({
        effectiveDateTime: new Date(Date.now() - hours * 3_600_000).toISOString(),
      });
      await it.potassium(6.8, 'mmol/L', hoursAgo(5));
      await it.potassium(4.1, 'mmol/L', hoursAgo(2));
      expect(await ask()).toMatchObject({ criticalFindings: [{ superseded: true }], commands: [], cards: [] });
      expect(await it.flags()).toEqual([]);
    });

    test('a result without category and one without date are seen; an old one is not', async () => {
      const { category: _none, effectiveDateTime: _date, id: _id, meta: _meta, ...bare } = await it.potassium(4);
      await clinic.create({ ...bare, valueQuantity: { value: 6.9, unit: 'mmol/L' } });
      await it.potassium(7, 'mmol/L', { effectiveDateTime: '2020-01-01T00:00:00Z' });
      expect((await ask()).criticalFindings).toMatchObject([{ value: 6.9 }]);
    });

    test('generateCommands: false looks and hands nothing on, and says so', async () => {
      await it.potassium(6.8);
      const output = await ask({ generateCommands: false });
      expect(output).toMatchObject({ criticalFindings: [{ rule: 'potassium' }], commands: [] });
      expect(output.warnings).toContain('COMMANDS_NOT_GENERATED');
      expect(await it.flags()).toEqual([]);
    });

    test('a blood pressure with two critical components is one Flag', async () => {
      const component = (code: string, value: number) => ({
        code: { coding: [{ system: 'http://loinc.org', code }] },
        valueQuantity: { value, unit: 'mmHg', system: 'http://unitsofmeasure.org', code: 'mm[Hg]' },
      });
      await clinic.create({
        resourceType: 'Observation',
        status: 'final',
        code: { coding: [{ system: 'http://loinc.org', code: '85354-9' }] },
        subject: it.subject,
        effectiveDateTime: new Date().toISOString(),
        component: [component('8480-6', 245), component('8462-4', 140)],
      });
      const output = await ask();
      expect(output.criticalFindings).toHaveLength(2);
      expect(output.commands).toMatchObject([{ interpretation: 'HH', action: 'executed' }]);
      expect(await it.flags()).toHaveLength(1);
    });

    test('a preliminary result waits for a person', async () => {
      await it.potassium(6.8, 'mmol/L', { status: 'preliminary' });
      expect(await ask()).toMatchObject({
        criticalFindings: [{ preliminary: true }],
        commands: [{ action: 'queued' }],
      });
      expect(await it.flags()).toEqual([]);
    });

    const preliminary = async () => {
      const observation = await it.potassium(6.8, 'mmol/L', { status: 'preliminary' });
      const { taskId } = (await ask()).commands[0];
      const becomesFinal = () => clinic.admin.updateResource({ ...observation, status: 'final' });
      const ends = async (status: Task['status']) => {
        const task = (await clinic.admin.readResource('Task', taskId as string, { cache: 'reload' })) as Task;
        await clinic.admin.updateResource<Task>({ ...task, status });
      };
      return { observation, taskId: taskId as string, becomesFinal, ends };
    };

    test('a preliminary result that becomes final is flagged once, though its Task still waits', async () => {
      const { becomesFinal, observation } = await preliminary();
      await becomesFinal();
      const { commands, warnings } = await ask();
      const [flag, other] = await it.flags();
      expect(other).toBeUndefined();
      expect(commands).toMatchObject([{ action: 'executed', flag: `Flag/${flag?.id}` }]);
      expect(commands[0]).not.toHaveProperty('duplicate');
      expect(warnings).not.toContain('EARLIER_TASK_ENDED');
      expect(JSON.stringify(flag?.extension)).toContain(`Observation/${observation.id}`);
      expect((await ask()).commands).toMatchObject([{ action: 'executed', duplicate: true, flag: `Flag/${flag?.id}` }]);
      expect(await it.flags()).toHaveLength(1);
    });

    test('also where its Task has expired meanwhile', async () => {
      const { becomesFinal, ends } = await preliminary();
      await ends('failed');
      expect(await ask()).toMatchObject({ commands: [{ action: 'ended', status: 'failed' }] });
      await becomesFinal();
      expect((await ask()).commands).toMatchObject([{ action: 'executed' }]);
      expect(await it.flags()).toHaveLength(1);
    });

    test.each(['rejected', 'cancelled'] as const)(
      'a result is told and not flagged where a person had its Task %s',
      async (status) => {
        const { becomesFinal, ends, taskId } = await preliminary();
        await ends(status);
        await becomesFinal();
        const { commands, warnings } = await ask();
        expect(commands).toMatchObject([{ action: 'ended', status, taskId, duplicate: true }]);
        expect(warnings).toContain('EARLIER_TASK_ENDED');
        expect(await it.flags()).toEqual([]);
      }
    );

    test('a Task that is rejected after its result was flagged takes nothing back', async () => {
      const { becomesFinal, ends } = await preliminary();
      await becomesFinal();
      await ask();
      await ends('rejected');
      expect((await ask()).commands).toMatchObject([{ action: 'executed', duplicate: true }]);
      expect(await it.flags()).toHaveLength(1);
    });

    test("asked on behalf of somebody else, its command is the bot's own", async () => {
      await it.potassium(6.8, 'mmol/L', { status: 'preliminary' });
      const headers = { 'X-Medplum-On-Behalf-Of': `Practitioner/${clinic.doctor.profile.id}` };
      const input = { patientId: it.patientId, analysisTypes: ['critical'] };
      const { commands } = await clinic.execute(CDS, input, clinic.admin, headers);
      expect(commands).toMatchObject([{ action: 'queued' }]);
      const task = (await clinic.admin.readResource('Task', commands[0].taskId as string)) as Task;
      expect(task.requester?.reference).toMatch(/^Device\//);
    });

    test('a critical value that is unknown to the Command Processor is told as failed', async () => {
      await it.potassium(6.8);
      const processor = { resourceType: 'Bot' as const, id: clinic.botId('command-processor') };
      const bot = await clinic.admin.readResource('Bot', processor.id);
      await clinic.admin.updateResource({ ...bot, identifier: [] });
      try {
        const output = await ask();
        expect(output).toMatchObject({
          success: true,
          criticalFindings: [{ rule: 'potassium' }],
          commands: [{ action: 'failed', errorCode: 'NOT_CONFIGURED' }],
        });
        expect(output.warnings).toContain('COMMAND_FAILED');
        expect(await clinic.audits('decision_support', `&patient=Patient/${it.patientId}`)).toMatchObject([
          { outcome: '8' },
        ]);
      } finally {
        await clinic.admin.updateResource(bot);
      }
    });
  });
});
