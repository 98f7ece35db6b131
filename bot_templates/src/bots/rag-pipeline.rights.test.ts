import type { AccessPolicyResource, Resource } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Member, type Output, useClinic } from '../../test/support/clinic.ts';
import { WITHOUT_DATABASE } from '../../test/support/database.ts';
import { type Diabetic, diabetic, noteOf } from '../../test/support/diabetic.ts';
import { readManifest } from '../../test/support/manifest.ts';
import { ofDimension, silence, sourceWith, status } from '../../test/support/router.ts';

const RECORDS = [
  'Observation',
  'Condition',
  'MedicationRequest',
  'MedicationStatement',
  'DocumentReference',
  'DiagnosticReport',
];

describe.skipIf(WITHOUT_DATABASE)(
  'RAG Pipeline Bot, by the rights of its user (needs MEDBOTS_TEST_DATABASE_URL)',
  () => {
    const clinic = useClinic(['embedding', 'rag-pipeline', 'audit-logging'], { withDatabase: true });
    let mine: Diabetic;
    let others: Diabetic;

    beforeEach(async () => {
      await clinic.setSecrets({});
      await clinic.database.clear();
      [mine, others] = await Promise.all([diabetic(clinic), diabetic(clinic)]);
      clinic.router.chat = (call) => ({
        answerable: true,
        sentences: [{ text: 'HbA1c fell from 8.2 % to 7.1 %.', citations: [sourceWith(call, '8.2 %')] }],
      });
    });

    const ask = (as: Member, patient: Diabetic, question = 'How did the HbA1c develop?'): Promise<Output> =>
      clinic.execute('rag-pipeline', { question, patientId: patient.patient.id }, as.client);

    async function embedded<T extends Resource>(resource: T): Promise<T & { id: string }> {
      const stored = await clinic.create(resource);
      const { resourceType, id } = stored;
      expect(await clinic.execute('embedding', { resourceType, id })).toMatchObject({ success: true });
      clinic.router.calls.length = 0;
      return stored;
    }

    /** What a user needs to ask of one patient: that patient's record, and what the manifest names. */
    const rulesFor = (patient: Diabetic): AccessPolicyResource[] => [
      { resourceType: 'Patient', criteria: `Patient?_id=${patient.patient.id}`, interaction: ['read', 'search'] },
      ...RECORDS.map((resourceType) => ({
        resourceType,
        criteria: `${resourceType}?subject=Patient/${patient.patient.id}`,
        interaction: ['read', 'search'] as AccessPolicyResource['interaction'] & object,
      })),
      {
        resourceType: 'AllergyIntolerance',
        criteria: `AllergyIntolerance?patient=Patient/${patient.patient.id}`,
        interaction: ['read', 'search'],
      },
      { resourceType: 'Medication', interaction: ['read', 'search'] },
      ...(readManifest().bots['rag-pipeline']?.policy ?? []),
    ];

    test('a user of one patient gets an answer on that patient, and it is audited', async () => {
      const nurse = await clinic.member('nurse', rulesFor(mine));
      expect(await ask(nurse, mine)).toMatchObject({ success: true, refused: false, warnings: [] });
      const events = await clinic.audits('rag_query', `&patient=Patient/${mine.patient.id}`);
      expect(events).toHaveLength(1);
      expect(events[0]?.agent?.[1]?.who?.reference).toBe(`Practitioner/${nurse.profile.id}`);
    });

    test('asked about another, nothing is told, not even that they exist, and no model is asked', async () => {
      const nurse = await clinic.member('nurse', rulesFor(mine));
      await embedded(noteOf(others.patient.id, 'Confidential: HIV positive.'));
      const output = await ask(nurse, others);
      expect(output).toEqual({
        success: false,
        errorCode: 'PATIENT_NOT_FOUND',
        message: `Patient/${others.patient.id} does not exist, or may not be read`,
        details: { patientId: others.patient.id },
      });
      expect(clinic.router.calls).toEqual([]);
      expect(
        await ask(nurse, { ...others, patient: { ...others.patient, id: '00000000-0000-4000-8000-000000000000' } })
      ).toMatchObject({
        errorCode: 'PATIENT_NOT_FOUND',
      });
    });

    test('asked in words for another patient, only the record of the one is searched', async () => {
      await embedded(noteOf(others.patient.id, 'Confidential: HIV positive.'));
      const output = await ask(clinic.doctor, mine, 'HIV positive confidential HbA1c?');
      expect(JSON.stringify([output, clinic.router.chats])).not.toContain('HIV positive.');
      expect(JSON.stringify(output)).not.toContain(others.patient.id);
    });

    test('a row of another patient under this one is not shown', async () => {
      const note = await embedded(noteOf(mine.patient.id, 'Numbness of the feet, HbA1c discussed.'));
      await clinic.database.admin.query('UPDATE clinical_embeddings SET patient_id = $1 WHERE fhir_resource_id = $2', [
        others.patient.id,
        note.id,
      ]);
      clinic.router.chat = () => ({ answerable: false, sentences: [] });
      const output = await ask(clinic.doctor, others, 'Numbness of the feet?');
      // The row names the other patient, but its note belongs to this one.
      expect(output).toMatchObject({ refused: true, filteredCount: 1 });
      expect(JSON.stringify(clinic.router.chats)).not.toContain('Numbness of the feet, HbA1c');
      expect(JSON.stringify(output)).not.toContain(note.id);
    });

    test('records that the user may not read are not in the context', async () => {
      const rules = rulesFor(mine).filter(
        ({ resourceType }) => !['MedicationRequest', 'DocumentReference'].includes(resourceType as string)
      );
      const nurse = await clinic.member('nurse', rules);
      await embedded(noteOf(mine.patient.id, 'Numbness of the feet, HbA1c discussed.'));
      const output = await ask(nurse, mine);
      expect(output).toMatchObject({ success: true, refused: false, warnings: ['RECORD_NOT_READABLE'] });
      expect(clinic.router.chats[0]?.body.messages?.[1]?.content).not.toMatch(/Metformin|Numbness/);
      expect(output.filteredCount).toBe(1);
    });

    test('text of a type with hidden fields stays back, and its visible fields do not', async () => {
      const rules = rulesFor(mine).map((rule) =>
        rule.resourceType === 'Condition' ? { ...rule, hiddenFields: ['note'] } : rule
      );
      const nurse = await clinic.member('nurse', rules);
      await embedded({
        resourceType: 'Condition' as const,
        subject: { reference: `Patient/${mine.patient.id}` },
        code: { text: 'HbA1c related neuropathy' },
        note: [{ text: 'HbA1c: a confidential remark' }],
      });
      const output = await ask(nurse, mine, 'HbA1c related neuropathy, a confidential remark, 8.2 %?');
      expect(output.warnings).toEqual(['FIELDS_HIDDEN']);
      expect(clinic.router.chats[0]?.body.messages?.[1]?.content).toContain('HbA1c related neuropathy');
      expect(clinic.router.chats[0]?.body.messages?.[1]?.content).not.toContain('HbA1c: a confidential remark');
    });

    test('somebody on whose behalf an admin acts is named in the event', async () => {
      const nurse = await clinic.member('nurse', rulesFor(mine));
      const output = await clinic.execute(
        'rag-pipeline',
        { question: 'How did the HbA1c develop?', patientId: mine.patient.id },
        clinic.admin,
        { 'X-Medplum-On-Behalf-Of': `Practitioner/${nurse.profile.id}` }
      );
      expect(output).toMatchObject({ success: true });
      const [event] = await clinic.audits('rag_query', `&patient=Patient/${mine.patient.id}`);
      expect(JSON.stringify(event?.entity)).toContain('on-behalf-of');
    });

    describe('the policy of the manifest', () => {
      test.each(
        (readManifest().bots['rag-pipeline']?.policy ?? []).flatMap(({ resourceType, interaction }) =>
          (interaction ?? []).map((each) => [resourceType as string, each] as const)
        )
      )(
        'is what a user needs: without %s %s the bot cannot be run, or the trail not be written',
        async (resourceType, interaction) => {
          const rules = rulesFor(mine)
            .map((rule) =>
              rule.resourceType === resourceType
                ? { ...rule, interaction: rule.interaction?.filter((each) => each !== interaction) ?? [] }
                : rule
            )
            .filter((rule) => (rule.interaction ?? ['any']).length > 0);
          const nurse = await clinic.member('nurse', rules);
          const outcome = await ask(nurse, mine).then(
            (output) => output.warnings,
            (error: { outcome?: { id?: string } }) => error.outcome?.id
          );
          expect([['AUDIT_FAILED'], 'forbidden', 'not-found']).toContainEqual(outcome);
        }
      );
    });

    describe('when the search by meaning is down', () => {
      const MESSAGE = 'the chart answers alone, and says so';

      test.each([
        ['the embedding model is down', [status(503), status(503)], {}],
        ['the embedding model is slow', [silence], {}],
        ['the database is down', [], { DATABASE_URL: 'postgresql://a@127.0.0.1:1/b' }],
      ])(`where %s, ${MESSAGE}`, async (_name, faults, secrets) => {
        await clinic.setSecrets(secrets);
        clinic.router.faults = faults;
        const output = await ask(clinic.doctor, mine);
        expect(output).toMatchObject({
          success: true,
          answer: 'HbA1c fell from 8.2 % to 7.1 %.',
          confidence: 0.9,
          warnings: ['RETRIEVAL_UNAVAILABLE'],
        });
        const [event] = await clinic.audits('rag_query', `&patient=Patient/${mine.patient.id}`);
        expect(event).toMatchObject({ outcome: '4' });
        expect(JSON.stringify(event)).toMatch(/"retrieval"/);
      });

      test('where it is set up wrongly, the question fails', async () => {
        clinic.router.faults = [ofDimension(1536)];
        expect(await ask(clinic.doctor, mine)).toMatchObject({
          success: false,
          errorCode: 'DIMENSION_MISMATCH',
          message: 'expected 768 dimensions, got 1536',
        });
        await clinic.setSecrets({ DATABASE_URL: 'mysql://nonsense' });
        expect(await ask(clinic.doctor, mine)).toMatchObject({ success: false, errorCode: 'NOT_CONFIGURED' });
        expect(clinic.router.chats).toEqual([]);
      });
    });
  }
);
