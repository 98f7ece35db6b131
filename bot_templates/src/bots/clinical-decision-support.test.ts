import { randomUUID } from 'node:crypto';
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
