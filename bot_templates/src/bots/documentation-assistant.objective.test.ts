import type { MedicationRequest, MedicationStatement, Observation } from '@medplum/fhirtypes';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Output, useClinic } from '../../test/support/clinic.ts';
import { draftOf, NOTHING } from '../../test/support/drafting.ts';
import { sourceWith } from '../../test/support/router.ts';
import { allergy, labResult, type Visit, visit } from '../../test/support/visit.ts';
import { PLACEHOLDER } from '../lib/note/note.ts';

describe('Documentation Assistant Bot', () => {
  const clinic = useClinic(['documentation-assistant', 'audit-logging']);
  let known: Visit;

  beforeAll(async () => {
    known = await visit(clinic);
  });
  beforeEach(() => {
    clinic.router.chat = () => NOTHING;
  });

  const draft = (more: object = {}, of = known): Promise<Output> => draftOf(clinic, of, more);

  describe('the objective section', () => {
    test('has values, units, flags and dates as the chart has them', async () => {
      const { sections, evidence } = await draft({ format: 'text' });
      expect(sections.objective).toContain(
        '- Blood pressure (LOINC 85354-9): Systolic 148 mmHg; Diastolic 92 mmHg; 2024-05-01T08:05:00Z'
      );
      expect(sections.objective).toContain('- Hemoglobin A1c (LOINC 4548-4): 8.2 %; High; 2024-05-01T08:06:00Z');
      expect(sections.objective).toContain(
        '- Metformin 500 mg (RxNorm 861007): one tablet twice daily; ordered, active; 2024-01-02'
      );
      expect(sections.objective).toContain('- Penicillin: criticality high; reaction Hives; 2015-06-01');
      expect(evidence).toContainEqual(
        expect.objectContaining({ section: 'objective', sources: [`Observation/${known.pressure.id}`] })
      );
    });

    test('lists every medicine of the chart, and no other', async () => {
      const { medicationsIncluded, sections } = await draft({ format: 'text' });
      expect(medicationsIncluded).toEqual([
        { name: 'Metformin 500 mg (RxNorm 861007)', source: `MedicationRequest/${known.metformin.id}` },
      ]);
      expect(sections.objective.match(/ordered|reported/g)).toHaveLength(1);
    });

    test('has requests and statements, and none that ended', async () => {
      const of = await visit(clinic);
      const subject = { reference: `Patient/${of.patient.id}` };
      const make = (medicine: string, status: MedicationRequest['status']) =>
        clinic.create<MedicationRequest>({
          resourceType: 'MedicationRequest',
          status,
          intent: 'order',
          subject,
          medicationCodeableConcept: { text: medicine },
        });
      await Promise.all([make('Stopped drug', 'stopped'), make('Draft drug', 'draft'), make('Held drug', 'on-hold')]);
      await clinic.create<MedicationStatement>({
        resourceType: 'MedicationStatement',
        status: 'active',
        subject,
        medicationCodeableConcept: { text: 'Ibuprofen' },
        dosage: [{ text: 'as needed' }],
      });
      const { medicationsIncluded, sections } = await draft({ format: 'text' }, of);
      expect(medicationsIncluded.map(({ name }: { name: string }) => name).sort()).toEqual([
        'Held drug',
        'Ibuprofen',
        'Metformin 500 mg (RxNorm 861007)',
      ]);
      expect(sections.objective).toContain('- Held drug: ordered, on-hold');
      expect(sections.objective).toContain('- Ibuprofen: as needed; reported, active');
    });

    test('shows the latest of a test that the encounter has not', async () => {
      const of = await visit(clinic);
      const potassium = (value: number, date: string) =>
        clinic.create(labResult(of.patient.id, 'Potassium', '2823-3', { value, unit: 'mmol/L' }, date));
      await Promise.all([potassium(4.1, '2024-01-01'), potassium(4.4, '2024-03-01')]);
      const { sections } = await draft({ format: 'text' }, of);
      expect(sections.objective).toContain('- Potassium (LOINC 2823-3): 4.4 mmol/L; 2024-03-01; not of this encounter');
      expect(sections.objective).not.toContain('4.1 mmol/L');
    });

    test('says "none documented" where the chart has nothing', async () => {
      const patient = await clinic.create({ resourceType: 'Patient' });
      const encounter = await clinic.create({ ...known.encounter, subject: { reference: `Patient/${patient.id}` } });
      const { sections, medicationsIncluded } = await draft({ patientId: patient.id, encounterId: encounter.id });
      expect(sections.objective.match(/None documented\./g)).toHaveLength(4);
      expect(medicationsIncluded).toEqual([]);
    });

    test('lists a result that has no category, of this visit or an earlier one', async () => {
      const patient = await clinic.create({ resourceType: 'Patient' });
      const subject = { reference: `Patient/${patient.id}` };
      const encounter = await clinic.create({ ...known.encounter, subject });
      const potassium = (value: number, more: Partial<Observation>): Observation => ({
        resourceType: 'Observation',
        status: 'final',
        subject,
        code: { coding: [{ system: 'http://loinc.org', code: '2823-3', display: 'Potassium' }] },
        valueQuantity: { value, unit: 'mmol/L' },
        ...more,
      });
      await clinic.create(potassium(6.8, { encounter: { reference: `Encounter/${encounter.id}` } }));
      await clinic.create({ ...potassium(4.1, {}), code: { text: 'Sodium something' }, effectiveDateTime: '2024-01-01' });
      const { sections } = await draft({ patientId: patient.id, encounterId: encounter.id });
      const others = /### Other observations\n\n([\s\S]*?)\n\n###/.exec(sections.objective)?.[1];
      expect(others).toContain('6.8 mmol/L');
      expect(others).toContain('4.1 mmol/L');
    });

    test.each([
      ['includeVitals', 'Vital signs', 'Blood pressure'],
      ['includeLabResults', 'Laboratory results', 'Hemoglobin'],
      ['includeMedications', 'Medications', 'Metformin'],
      ['includeAllergies', 'Allergies', 'Penicillin'],
    ])('without %s names the part as left out, and nothing of it reaches the model', async (field, title, text) => {
      const { sections, contextSourcesUsed } = await draft({ [field]: false });
      expect(sections.objective).toContain(`### ${title}\n\n- Not part of this document, as its author chose.`);
      expect(JSON.stringify(clinic.router.chats[0]?.body)).not.toContain(text);
      const full = (await draft()).contextSourcesUsed as string[];
      expect(contextSourcesUsed).toHaveLength(full.length - 1);
    });

    test.each(['markdown', 'text'])('keeps a hostile name of the record to its line, in %s', async (format) => {
      const of = await visit(clinic);
      const hostile =
        'Peanut\n\n# Plan\n\n[start](http://evil.example) <img src=x onerror=alert(1)> **opiates** www.evil.example';
      await clinic.create(allergy(of.patient.id, hostile));
      const { content, sections } = await draft({ format }, of);
      expect(content.match(/^.*Plan$/gim)).toEqual([format === 'markdown' ? '## Plan' : 'PLAN']);
      expect(sections.objective.split('\n').filter((line: string) => line.includes('Peanut'))).toHaveLength(1);
      if (format === 'markdown') {
        expect(content).not.toMatch(/(?<!\\)<img|(?<!\\)\]\(|(?<!\\)\*\*opiates|http:\/\/|www\.evil|^# Plan/m);
      }
    });

    test('has the stars of a unit in Markdown', async () => {
      const of = await visit(clinic);
      await clinic.create(labResult(of.patient.id, 'Leukocytes', '6690-2', { value: 4.5, unit: '10*3/uL' }));
      expect((await draft({}, of)).sections.objective).toContain('4.5 10\\*3/uL');
      expect((await draft({ format: 'text' }, of)).sections.objective).toContain('4.5 10*3/uL');
    });
  });

  describe('the physical examination', () => {
    test('is a placeholder when the clinician gave none', async () => {
      const { sections } = await draft();
      expect(sections.objective).toContain(`### Physical examination\n\n${PLACEHOLDER}`);
    });

    test('is never what the model found: the sentence is dropped, and the placeholder stands', async () => {
      clinic.router.chat = (call) => {
        const citations = [sourceWith(call, 'Type 2 diabetes'), sourceWith(call, 'thirst')];
        return {
          subjective: [{ text: 'Patient reports thirst; lungs are clear to auscultation.', citations }],
          assessment: [{ text: 'Type 2 diabetes mellitus with reduced sensation of both feet.', citations }],
          plan: [],
        };
      };
      const { content, sections, warnings, confidence } = await draft();
      expect(content).not.toMatch(/auscultation|sensation/);
      expect(sections.objective).toContain(PLACEHOLDER);
      expect(sections.subjective).toBe(PLACEHOLDER);
      expect(warnings).toContain('UNSUPPORTED_EXAM_FINDING');
      expect(confidence).toBe(0);
    });

    test('that the clinician gave may be cited', async () => {
      clinic.router.chat = (call) => ({
        ...NOTHING,
        assessment: [{ text: 'Reduced sensation of both feet.', citations: [sourceWith(call, 'monofilament')] }],
      });
      const exam = 'Feet: reduced sensation of both feet by monofilament.';
      const { sections } = await draft({ clinicianInput: { exam } });
      expect(sections.assessment).toBe('- Reduced sensation of both feet. \\[1]');
    });
  });
});
