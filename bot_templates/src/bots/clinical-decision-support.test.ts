import { randomUUID } from 'node:crypto';
import type { DetectedIssue, MedicationRequest, Task } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { useClinic } from '../../test/support/clinic.ts';
import { allergyCode, CDS, Deciding } from '../../test/support/deciding.ts';
import { exampleOf, expectOutput } from '../../test/support/page.ts';

describe('Clinical Decision Support Bot', () => {
  const clinic = useClinic([CDS, 'command-processor']);
  const it = new Deciding(clinic);

  beforeEach(async () => {
    await clinic.setSecrets({});
    await it.newPatient();
  });

  describe('medications', () => {
    test('warfarin and aspirin give one high DRG issue, and asking again adds none', async () => {
      const warfarin = await it.order('Warfarin 5 mg');
      const aspirin = await it.order('Aspirin 81 mg');
      const first = await it.ask();
      const second = await it.ask();
      const references = [warfarin, aspirin].map(({ id }) => `MedicationRequest/${id}`).sort();
      expect(first).toMatchObject({
        success: true,
        interactions: [{ rule: 'warfarin-aspirin', severity: 'high', implicated: references }],
      });
      const found = await it.issues();
      expect(found).toMatchObject([
        {
          status: 'final',
          severity: 'high',
          code: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'DRG' }] },
          identifier: [
            { system: 'urn:medbots/detected-issue', value: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown },
          ],
          author: { reference: expect.stringMatching(/^Device\//) as unknown },
          implicated: references.map((reference) => ({ reference })),
        },
      ]);
      expect(second.detectedIssues).toEqual([`DetectedIssue/${found[0]?.id}`]);
      expect(second.issuesWritten).toEqual({ created: 0, cancelled: 0, reopened: 0 });
    });

    test('an issue that a rule found carries no label of artificial intelligence, and names its rule', async () => {
      await it.order('Warfarin');
      await it.order('Aspirin');
      await it.ask();
      const [issue] = await it.issues();
      expect(JSON.stringify(issue?.meta)).not.toContain('AIAST');
      expect(issue?.detail).toMatch(/rule warfarin-aspirin of medbots-decision-rules 1\.0\.0, without a model/);
    });

    test('the example of the page', async () => {
      await it.order('Warfarin 5 mg');
      await it.order('Aspirin 81 mg');
      await it.potassium(6.8);
      const { input, output } = exampleOf(CDS, { PATIENT_ID: it.patientId });
      expectOutput(await clinic.execute(CDS, input), output);
    });

    test('an order and a statement interact; a draft counts', async () => {
      await it.order('Warfarin', { status: 'draft', intent: 'proposal' });
      await it.statement('Ibuprofen 400 mg');
      expect((await it.ask()).interactions).toMatchObject([{ rule: 'anticoagulant-nsaid' }]);
    });

    test.each([
      ['entered in error', { status: 'entered-in-error' }],
      ['stopped', { status: 'stopped' }],
      ['cancelled', { status: 'cancelled' }],
      ['completed', { status: 'completed' }],
      ['ordered not to be given', { doNotPerform: true }],
    ] satisfies [string, Partial<MedicationRequest>][])('an order that is %s does not count', async (_name, more) => {
      await it.order('Warfarin');
      await it.order('Aspirin', more);
      expect(await it.ask()).toMatchObject({ interactions: [], detectedIssues: [] });
    });

    test('contained and referenced Medications are read, and their ingredients', async () => {
      const medication = await clinic.create({
        resourceType: 'Medication',
        code: { text: 'House blend' },
        ingredient: [{ itemCodeableConcept: { text: 'Warfarin' } }],
      });
      await it.order('', { medicationReference: { reference: `Medication/${medication.id}` } });
      await it.order('', {
        contained: [
          {
            resourceType: 'Medication',
            id: 'a',
            code: { coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '1191' }] },
          },
        ],
        medicationReference: { reference: '#a' },
      });
      expect(await it.ask()).toMatchObject({ interactions: [{ rule: 'warfarin-aspirin' }], unrecognised: [] });
    });

    test('the same ingredient in two products is DUPTHPY and no DRG', async () => {
      await it.order('Ibuprofen 400 mg');
      await it.order('Advil 200 mg');
      await it.ask();
      expect(await it.issues()).toMatchObject([{ code: { coding: [{ code: 'DUPTHPY' }] }, severity: 'moderate' }]);
    });

    test('an allergy gives an ALGY issue that names allergy and order; refuted it gives none', async () => {
      const allergy = await it.allergy('Penicillin');
      const order = await it.order('Amoxicillin/clavulanate 875 mg');
      await it.ask();
      expect(await it.issues()).toMatchObject([
        {
          code: { coding: [{ code: 'ALGY' }] },
          severity: 'high',
          implicated: [
            { reference: `AllergyIntolerance/${allergy.id}` },
            { reference: `MedicationRequest/${order.id}` },
          ],
        },
      ]);
      await clinic.admin.updateResource({ ...allergy, verificationStatus: allergyCode('verification', 'refuted') });
      expect(await it.ask()).toMatchObject({ allergyConflicts: [], issuesWritten: { cancelled: 1 } });
      expect(await it.standing()).toEqual([]);
    });

    test('drugs that are not known are told by reference, with the words that no finding is no safety', async () => {
      const order = await it.order('Zyxomab 10 mg');
      const allergy = await it.allergy('Zyxomab');
      const output = await it.ask();
      expect(output).toMatchObject({
        unrecognised: [`MedicationRequest/${order.id}`, `AllergyIntolerance/${allergy.id}`],
        statement: expect.stringContaining('No finding is no safety') as unknown,
        ruleset: {
          id: 'medbots-decision-rules',
          version: expect.any(String) as unknown,
          date: expect.any(String) as unknown,
        },
      });
      expect(output.warnings).toContain('UNRECOGNISED_MEDICATION');
      expect(JSON.stringify(output)).not.toContain('Zyxomab');
    });

    test('an order whose code and words name different drugs counts as both, and is told', async () => {
      const order = await it.order('Aspirin 81 mg', {
        medicationCodeableConcept: {
          coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '11289', display: 'warfarin' }],
          text: 'Aspirin 81 mg',
        },
      });
      const [ofAspirin, ofWarfarin] = [await it.order('Prednisone 10 mg'), await it.order('Fluconazole 100 mg')];
      const output = await it.ask();
      expect(output).toMatchObject({
        unrecognised: [`MedicationRequest/${order.id}`],
        contradictory: [`MedicationRequest/${order.id}`],
      });
      expect(output.warnings).toContain('CONTRADICTORY_MEDICATION');
      const implicated = (output.interactions as { implicated: string[] }[]).flatMap((each) => each.implicated);
      expect(implicated).toContain(`MedicationRequest/${ofAspirin.id}`);
      expect(implicated).toContain(`MedicationRequest/${ofWarfarin.id}`);
    });

    test('a Medication that can no longer be read ends no issue', async () => {
      const medication = await clinic.create({ resourceType: 'Medication', code: { text: 'Warfarin' } });
      await it.order('', { medicationReference: { reference: `Medication/${medication.id}` } });
      await it.order('Aspirin');
      await it.ask();
      await clinic.admin.deleteResource('Medication', medication.id);
      expect(await it.ask()).toMatchObject({ interactions: [], issuesWritten: { cancelled: 0 } });
      expect(await it.standing()).toHaveLength(1);
    });

    test("another patient's drugs do not count, wherever they are mentioned", async () => {
      const mine = it.patientId;
      await it.order('Warfarin');
      const theirs = await it.newPatient();
      const others = await it.order('Aspirin');
      await clinic.create<MedicationRequest>({
        resourceType: 'MedicationRequest',
        status: 'active',
        intent: 'order',
        subject: { reference: `Patient/${mine}` },
        medicationCodeableConcept: { text: 'Metformin' },
        supportingInformation: [{ reference: `MedicationRequest/${others.id}` }],
        basedOn: [{ reference: `MedicationRequest/${others.id}` }],
      });
      expect(await clinic.execute(CDS, { patientId: mine })).toMatchObject({ interactions: [] });
      expect(await clinic.execute(CDS, { patientId: theirs })).toMatchObject({ interactions: [] });
    });

    test('what a person cancelled or marked as an error stays as it is', async () => {
      await it.order('Warfarin');
      await it.order('Aspirin');
      await it.ask();
      const [issue] = (await it.issues()) as [DetectedIssue];
      for (const status of ['cancelled', 'entered-in-error']) {
        await clinic.admin.updateResource({ ...issue, status } as DetectedIssue);
        const output = await it.ask();
        expect(output.issuesWritten).toEqual({ created: 0, cancelled: 0, reopened: 0 });
        expect(output.interactions).toHaveLength(1);
        expect(output.warnings).toContain('ISSUE_SET_ASIDE');
        expect(await it.issues()).toMatchObject([{ status }]);
      }
    });

    test('many runs at once make each issue once', async () => {
      await it.order('Warfarin');
      await it.order('Aspirin');
      await it.order('Ibuprofen');
      const outputs = await Promise.all(Array.from({ length: 5 }, () => it.ask({ analysisTypes: ['interactions'] })));
      expect(outputs.map(({ success }) => success)).toEqual([true, true, true, true, true]);
      const keys = (await it.issues()).map(({ identifier }) => identifier?.[0]?.value);
      expect(keys).toHaveLength(3);
      expect(new Set(keys).size).toBe(3);
      expect(await it.guidance()).toHaveLength(1);
    });
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

  describe('what is kept of a decision', () => {
    test('the same snapshot makes no second GuidanceResponse; a new record does', async () => {
      await it.order('Warfarin');
      const first = await it.ask();
      expect((await it.ask()).guidanceResponseId).toBe(first.guidanceResponseId);
      await it.order('Aspirin');
      const third = await it.ask();
      expect(third.guidanceResponseId).not.toBe(first.guidanceResponseId);
      const found = await it.guidance();
      expect(found).toHaveLength(2);
      expect(found.find(({ id }) => id === third.guidanceResponseId)).toMatchObject({
        status: 'success',
        moduleUri: 'urn:medbots/medbots-decision-rules/1.0.0',
        requestIdentifier: {
          system: 'urn:medbots/decision-snapshot',
          value: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
        },
        performer: { reference: expect.stringMatching(/^Device\//) as unknown },
        outputParameters: { reference: '#output' },
      });
    });

    test('what the record lacks is asked for', async () => {
      await clinic.admin.updateResource({ resourceType: 'Patient', id: it.patientId });
      const order = await it.order('Zyxomab');
      await it.ask();
      expect(await it.guidance()).toMatchObject([
        {
          status: 'data-requested',
          dataRequirement: [
            { type: 'Patient', mustSupport: ['birthDate', 'gender'] },
            { type: 'MedicationRequest', mustSupport: ['medication[x]'] },
          ],
        },
      ]);
      expect(order.id).toBeDefined();
    });

    test('the audit trail holds counts, and no word of the record', async () => {
      await it.order('Warfarin 5 mg');
      await it.order('Aspirin');
      await it.ask();
      const events = await clinic.audits('decision_support', `&patient=Patient/${it.patientId}`);
      expect(events).toHaveLength(1);
      expect(JSON.stringify(events).toLowerCase()).not.toContain('warfarin');
    });

    test('every card has the form of CDS Hooks', async () => {
      await it.order('Warfarin');
      await it.order('Aspirin');
      await it.allergy('Aspirin');
      await it.potassium(6.8, 'mmol/L', {
        code: {
          text: `[x](http://evil.example) ${'Potassium '.repeat(30)}`,
          coding: [{ system: 'http://loinc.org', code: '2823-3' }],
        },
      });
      await clinic.create({
        resourceType: 'Observation',
        status: 'final',
        code: { text: `<script>alert(1)</script> ${'very long name '.repeat(20)}` },
        interpretation: [
          { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation', code: 'AA' }] },
        ],
        subject: it.subject,
        effectiveDateTime: new Date().toISOString(),
      });
      const { cards } = await it.ask();
      expect(cards.length).toBeGreaterThan(5);
      for (const card of cards) {
        expect(card.summary.length).toBeLessThanOrEqual(140);
        expect(['info', 'warning', 'critical']).toContain(card.indicator);
        expect(card.source.label).toEqual(expect.any(String));
        expect(card.links).toEqual(expect.any(Array));
        expect(`${card.summary}${card.detail}`).not.toMatch(/<script|\]\(http/);
      }
      expect(cards.slice(0, 2).map(({ indicator }: { indicator: string }) => indicator)).toEqual([
        'critical',
        'critical',
      ]);
    });
  });

  describe('who asks, and for what', () => {
    test.each([
      ['no patient', { patientId: null }],
      ['a patient that is no id', { patientId: 'Eleanor' }],
      ['an unknown analysis', { analysisTypes: ['prognosis'] }],
      ['no analyses', { analysisTypes: [] }],
      ['a chief complaint that is no text', { chiefComplaint: 7 }],
      ['generateCommands as text', { generateCommands: 'no' }],
      ['a field of no meaning', { severity: 'high' }],
    ])('%s is INVALID_INPUT', async (_name, more) => {
      expect(await it.ask(more)).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
    });

    test('a patient who does not exist is PATIENT_NOT_FOUND, and nothing is written', async () => {
      const output = await clinic.execute(CDS, { patientId: randomUUID() });
      expect(output).toMatchObject({ success: false, errorCode: 'PATIENT_NOT_FOUND' });
    });

    test.each(['Patient', 'RelatedPerson'] as const)('a %s is refused, whatever they hand in', async (type) => {
      const client = await clinic.person(type);
      const refused = { success: false, errorCode: 'UNAUTHORIZED' };
      expect(await clinic.execute(CDS, { patientId: it.patientId }, client)).toMatchObject(refused);
      const order = await it.order('Warfarin');
      expect(await clinic.execute(CDS, order, client)).toMatchObject(refused);
      expect(await clinic.execute(CDS, { deletedResource: order }, client)).toMatchObject(refused);
    });

    test('a policy that is not understood stops it before anything is written', async () => {
      await clinic.setSecrets({ SAFETY_POLICY: '{"decisionSupport": {"id": "x", "critical": {"of": []}}}' });
      await it.order('Warfarin');
      await it.order('Aspirin');
      expect(await it.ask()).toMatchObject({
        success: false,
        errorCode: 'NOT_CONFIGURED',
        message: expect.stringContaining('critical.of') as unknown,
      });
      expect(await it.issues()).toEqual([]);
    });

    test("a site's limit and a rule that it switched off are followed, and told", async () => {
      const decisionSupport = {
        id: 'st-mary',
        interactions: { off: ['warfarin-aspirin'] },
        critical: { change: [{ id: 'potassium', high: 6 }] },
      };
      await clinic.setSecrets({ SAFETY_POLICY: JSON.stringify({ decisionSupport }) });
      await it.order('Warfarin');
      await it.order('Aspirin');
      await it.potassium(6.2);
      expect(await it.ask()).toMatchObject({
        interactions: [],
        criticalFindings: [{ rule: 'potassium', limit: 6 }],
        // The Command Processor knows the site's limit too.
        commands: [{ action: 'executed' }],
        ruleset: { site: { id: 'st-mary', changed: 1, switchedOff: 1, added: 0 } },
      });
    });
  });
});
