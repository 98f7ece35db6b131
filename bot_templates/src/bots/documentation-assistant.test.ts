import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Condition } from '@medplum/fhirtypes';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Output, useClinic } from '../../test/support/clinic.ts';
import { draftOf, NOTHING } from '../../test/support/drafting.ts';
import { exampleOf, expectOutput } from '../../test/support/page.ts';
import { sourceWith } from '../../test/support/router.ts';
import { type Visit, visit } from '../../test/support/visit.ts';
import { DOCUMENT_TYPES, DOCUMENTATION_TYPES } from '../lib/note/document-types.ts';
import { NARRATIVE_SCHEMA } from '../lib/note/narrative.ts';

describe('Documentation Assistant Bot', () => {
  const clinic = useClinic(['documentation-assistant', 'audit-logging']);
  let known: Visit;
  let other: Visit;

  beforeAll(async () => {
    [known, other] = await Promise.all([visit(clinic), visit(clinic)]);
  });
  beforeEach(() => {
    clinic.router.chat = () => NOTHING;
  });

  const draft = (more: object = {}, of = known): Promise<Output> => draftOf(clinic, of, more);

  describe('the document', () => {
    test.each(DOCUMENTATION_TYPES)('%s has its LOINC code and title', async (documentationType) => {
      const referralDetails = { specialty: 'Cardiology', urgency: 'urgent' };
      const more = documentationType === 'referral' ? { referralDetails } : {};
      const output = await draft({ documentationType, ...more });
      expect(output).toMatchObject({ success: true, documentType: DOCUMENT_TYPES[documentationType] });
      expect(output.content).toContain(`# ${DOCUMENT_TYPES[documentationType].display}\n`);
    });

    test('is the one of the page', async () => {
      clinic.router.chat = (call) => ({
        subjective: [
          { text: 'Reports increased thirst for two weeks.', citations: [sourceWith(call, 'increased thirst')] },
        ],
        assessment: [
          {
            text: 'Type 2 diabetes mellitus with an elevated hemoglobin A1c of 8.2 %.',
            citations: [sourceWith(call, 'Condition: Type 2'), sourceWith(call, 'Hemoglobin A1c')],
          },
        ],
        plan: [],
      });
      const reference = ({ resourceType, id }: { resourceType: string; id: string }) => `${resourceType}/${id}`;
      const page = exampleOf('documentation-assistant', {
        PATIENT_ID: known.patient.id,
        ENCOUNTER_ID: known.encounter.id,
        DIABETES: reference(known.diabetes),
        PRESSURE: reference(known.pressure),
        A_ONE_C: reference(known.a1c),
        METFORMIN: reference(known.metformin),
        PENICILLIN: reference(known.penicillin),
        NURSE_NOTE: reference(known.nurseNote),
        ENCOUNTER: reference(known.encounter),
        PATIENT: reference(known.patient),
      });
      expectOutput(await clinic.execute('documentation-assistant', page.input), page.output);
    });

    test("has the model's schema on its page", () => {
      const page = new URL('../../../docs/bots/documentation-assistant.md', import.meta.url);
      const text = readFileSync(fileURLToPath(page), 'utf8');
      const block = /^## Model schema\n[\s\S]*?```json\n([\s\S]*?)```/m.exec(text)?.[1] ?? '';
      expect(JSON.parse(block)).toEqual(NARRATIVE_SCHEMA.schema);
    });

    test('is the same text for the same record', async () => {
      const [one, two] = [await draft(), await draft()];
      expect(one.content).toBe(two.content);
    });

    test('as text has no markup', async () => {
      const { content, sections } = await draft({ format: 'text' });
      expect(content).toMatch(/^PROGRESS NOTE\n/);
      expect(content).toContain('OBJECTIVE\n---------\n');
      expect(content).not.toMatch(/^#|\*\*/m);
      expect(content).toContain(sections.objective);
    });
  });

  describe("the clinician's words", () => {
    const clinicianInput = {
      subjective: '  "Feels *tired*", <3 weeks>; see [note](x)\r\n\r\n# not a heading\n',
      exam: 'Lungs clear.\n\tAbdomen: soft & nontender – 2/6 murmur \\o/ ```',
      assessment: 'T2DM, poorly controlled — \u{1f914}',
      plan: '1. metformin 1 g b.i.d.\n2. recheck HbA1c in 3/12',
    };

    test.each(['markdown', 'text'])('stand in their sections to the letter, in %s', async (format) => {
      const output = await draft({ format, clinicianInput });
      expect(output.sections.subjective).toBe(clinicianInput.subjective);
      expect(output.sections.objective).toContain(clinicianInput.exam);
      expect(output.sections.assessment).toBe(clinicianInput.assessment);
      expect(output.sections.plan).toBe(clinicianInput.plan);
      for (const words of Object.values(clinicianInput)) {
        expect(output.content).toContain(words);
        expect(output.evidence).toContainEqual(expect.objectContaining({ text: words, sources: ['clinician'] }));
      }
    });

    test('stand there whatever the model makes of them', async () => {
      clinic.router.chat = (call) => ({
        ...NOTHING,
        plan: [{ text: 'metformin 2 g b.i.d.', citations: [sourceWith(call, 'metformin 1 g')] }],
      });
      const { sections, warnings } = await draft({ clinicianInput });
      expect(sections.plan).toBe(clinicianInput.plan);
      expect(warnings).toContain('UNSUPPORTED_NUMBER');
    });

    test('are a source of other sections, and are not repeated in their own', async () => {
      clinic.router.chat = (call) => {
        const citations = [sourceWith(call, 'Dry mouth')];
        return {
          subjective: [{ text: 'Dry mouth since Monday.', citations }],
          assessment: [{ text: 'Dry mouth since Monday.', citations }],
          plan: [],
        };
      };
      const { sections, evidence } = await draft({ clinicianInput: { subjective: 'Dry mouth since Monday.' } });
      expect(sections.subjective).toBe('Dry mouth since Monday.');
      expect(sections.assessment).toBe('- Dry mouth since Monday. \\[1]');
      const text = 'Dry mouth since Monday.';
      expect(evidence).toContainEqual({ section: 'assessment', text, sources: ['clinician'] });
    });

    test('that are long reach the model in passages', async () => {
      const days = Array.from({ length: 160 }, (_, day) => `Day ${day}: the cough was unchanged, sleep was poor.`);
      const subjective = days.join('\n');
      const output = await draft({ clinicianInput: { subjective } });
      expect(output.sections.subjective).toBe(subjective);
      const shown = clinic.router.chats[0]?.body.messages?.find(({ role }) => role === 'user')?.content;
      expect(shown).toContain('Day 0: the cough');
      expect(shown).toContain('Day 159: the cough');
      expect(output.warnings).not.toContain('CONTEXT_LIMITED');
    });
  });

  describe('a referral', () => {
    const referralDetails = { specialty: 'Cardiology', urgency: 'urgent', reason: 'New *murmur*, please see <4 weeks' };

    test('has specialty, urgency and the reason to the letter', async () => {
      const { content } = await draft({ documentationType: 'referral', referralDetails });
      expect(content).toContain(`## Referral\n\n- Cardiology, urgent\n\n${referralDetails.reason}\n`);
    });

    test.each([
      ['without referralDetails', { documentationType: 'referral' }],
      ['without a specialty', { documentationType: 'referral', referralDetails: { urgency: 'urgent' } }],
      [
        'with an unknown urgency',
        { documentationType: 'referral', referralDetails: { specialty: 'X', urgency: 'soon' } },
      ],
      ['that is none, with referralDetails', { documentationType: 'progress', referralDetails }],
    ])('%s is INVALID_INPUT', async (_name, more) => {
      expect(await draft(more)).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
    });
  });

  describe('bad input', () => {
    test.each([
      ['an unknown type', { documentationType: 'operation' }],
      ['no type', { documentationType: null }],
      ['a type by its LOINC code', { documentationType: '11506-3' }],
      ['an unknown format', { format: 'html' }],
      ['no encounter', { encounterId: null }],
      ['an encounter that does not exist', { encounterId: randomUUID() }],
      ['saveDraft as text', { saveDraft: 'yes' }],
      ['a section of no meaning', { clinicianInput: { objective: 'x' } }],
      ['a section that is a list', { clinicianInput: { plan: ['x'] } }],
      ['a section with a NUL', { clinicianInput: { plan: 'a\u0000b' } }],
      ['a section that is too long', { clinicianInput: { plan: 'x'.repeat(10_001) } }],
      ['a field of no meaning', { practitionerId: randomUUID() }],
    ])('%s is INVALID_INPUT, and no model is asked', async (_name, more) => {
      expect(await draft(more)).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
      expect(clinic.router.calls).toEqual([]);
    });

    test('the encounter of another patient is refused in the same words as one that does not exist', async () => {
      const output = await draft({ encounterId: other.encounter.id });
      expect(output).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
      expect(output.message).toBe((await draft({ encounterId: randomUUID() })).message);
      expect(clinic.router.calls).toEqual([]);
    });

    test('an encounter that was entered in error is INVALID_INPUT', async () => {
      const wrong = await clinic.create({ ...known.encounter, status: 'entered-in-error' as const });
      expect(await draft({ encounterId: wrong.id })).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
    });

    test('a patient who does not exist is PATIENT_NOT_FOUND', async () => {
      const output = await draft({ patientId: randomUUID() });
      expect(output).toMatchObject({ success: false, errorCode: 'PATIENT_NOT_FOUND' });
    });

    test('a resource in place of a command is INVALID_INPUT', async () => {
      const output = await clinic.execute('documentation-assistant', known.encounter);
      expect(output).toMatchObject({ errorCode: 'INVALID_INPUT' });
    });
  });

  test('what was entered in error or refuted is not shown to anybody', async () => {
    const of = await visit(clinic);
    await clinic.create<Condition>({
      resourceType: 'Condition',
      subject: { reference: `Patient/${of.patient.id}` },
      code: { text: 'Wrong diagnosis' },
      verificationStatus: {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-ver-status', code: 'refuted' }],
      },
    });
    const output = await draft({}, of);
    expect(JSON.stringify([output, clinic.router.chats[0]?.body])).not.toContain('Wrong diagnosis');
  });

  test('the draft is audited by hash and counts, without a word of it', async () => {
    await clinic.setSecrets({});
    const before = (await clinic.audits('documentation_draft')).length;
    const { content } = await draft({ clinicianInput: { plan: 'Taper the benzodiazepine over six weeks.' } });
    const events = await clinic.audits('documentation_draft');
    expect(events).toHaveLength(before + 1);
    const text = JSON.stringify(events);
    expect(text).not.toMatch(/benzodiazepine|Metformin|diabetes/i);
    expect(text).toContain('content-sha256');
    expect(text).toContain(`"${content.length}"`);
    expect(text).toContain(`Encounter/${known.encounter.id}`);
    expect(events.at(-1)?.agent?.[1]?.who?.reference).toBe(`Practitioner/${clinic.doctor.profile.id}`);
  });
});
