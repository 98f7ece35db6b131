import type { Attachment, DiagnosticReport, DocumentReference, MedicationStatement, Observation } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { condition, note, observation } from '../../../test/support/records.ts';
import { type EmbeddedResource, isEmbedded, reasonToWithhold, recordText, type RecordSources } from './record-text.ts';

const ID = '3f2a1b4c-0000-4000-8000-00000000abcd';
const nothing: RecordSources = {
  attachment: async () => ({ reason: 'not here' }),
  observations: async () => [],
  medication: async () => undefined,
};
const person = { reference: `Patient/${ID}`, display: 'Eleanor Rigby' };
const doctor = { reference: `Practitioner/${ID}`, display: 'Father McKenzie' };

/** Every kind of record, with a person's name wherever FHIR has room for one. */
const everywhere: EmbeddedResource[] = [
  observation('Glucose', 5, {
    subject: person,
    performer: [doctor],
    identifier: [{ value: 'MRN-1966' }],
    note: [{ authorString: 'Father McKenzie', text: 'fasting' }],
    text: { status: 'generated', div: '<div>Eleanor Rigby</div>' },
  }),
  condition('Asthma', { subject: person, asserter: doctor, recorder: doctor, note: [{ authorReference: doctor, text: 'mild' }] }),
  {
    resourceType: 'MedicationStatement',
    status: 'active',
    subject: person,
    informationSource: doctor,
    medicationReference: { reference: `Medication/${ID}`, display: 'Rigby\'s own mixture' },
    reasonReference: [{ display: 'Eleanor Rigby\'s cough' }],
  },
  { resourceType: 'DiagnosticReport', status: 'final', code: { text: 'CBC' }, subject: person, performer: [doctor], resultsInterpreter: [doctor] },
  note('', {
    subject: person,
    author: [doctor],
    authenticator: doctor,
    masterIdentifier: { value: 'MRN-1966' },
    content: [{ attachment: { contentType: 'application/pdf', title: 'Rigby, Eleanor.pdf' } }],
  }),
];

test.each(everywhere.map((resource) => [resource.resourceType, resource] as const))('a %s tells no name and no record number', async (_type, resource) => {
  const text = JSON.stringify(await recordText(resource, nothing));
  expect(text).not.toMatch(/Eleanor|Rigby|McKenzie|MRN/);
});

const sectionsOf = async (resource: EmbeddedResource, sources: Partial<RecordSources> = {}) => {
  const record = await recordText(resource, { ...nothing, ...sources });
  return Object.fromEntries(record.sections.filter(({ text }) => text !== '').map(({ title, text }) => [title, text]));
};

describe('an Observation', () => {
  test('tells everything measured', async () => {
    const full: Observation = {
      resourceType: 'Observation',
      status: 'final',
      category: [{ coding: [{ code: 'laboratory', display: 'Laboratory' }] }],
      code: { coding: [{ system: 'http://loinc.org', code: '4548-4', display: 'Hemoglobin A1c' }] },
      effectiveDateTime: '2024-02-03T08:00:00Z',
      valueQuantity: { value: 8.2, unit: '%', comparator: '>=' },
      interpretation: [{ coding: [{ code: 'H', display: 'High' }] }],
      referenceRange: [{ low: { value: 4, unit: '%' }, high: { value: 5.6, unit: '%' } }, { text: 'below 7 in diabetes' }],
      bodySite: { text: 'Left arm' },
      note: [{ text: 'Haemolysed.' }, { text: 'Repeat.' }],
    };
    expect(await recordText(full, nothing)).toMatchObject({ date: '2024-02-03', skipped: [] });
    expect(await sectionsOf(full)).toEqual({
      Result: [
        'Observation: Hemoglobin A1c (LOINC 4548-4)',
        'Value: >= 8.2 %',
        'Interpretation: High',
        'Reference range: 4 % to 5.6 %, below 7 in diabetes',
        'Category: Laboratory',
        'Body site: Left arm',
        'Status: final',
        'Date: 2024-02-03T08:00:00Z',
      ].join('\n'),
      Note: 'Haemolysed.\n\nRepeat.',
    });
  });

  test('tells its components with all of theirs', async () => {
    const pressure = observation('Blood pressure', 0, {
      component: [
        { code: { text: 'Systolic' }, valueQuantity: { value: 120, unit: 'mmHg' }, interpretation: [{ text: 'Normal' }] },
        { code: { text: 'Diastolic' }, dataAbsentReason: { text: 'Not performed' } },
      ],
    });
    delete pressure.valueQuantity;
    const { Result } = await sectionsOf(pressure);
    expect(Result).toContain('Systolic: 120 mmHg, Interpretation Normal\nDiastolic: No value because Not performed');
  });

  test.each([
    [{ valueCodeableConcept: { text: 'Positive' } }, 'Positive'],
    [{ valueString: 'growth of E. coli' }, 'growth of E. coli'],
    [{ valueBoolean: false }, 'no'],
    [{ valueBoolean: true }, 'yes'],
    [{ valueInteger: 0 }, '0'],
    [{ valueQuantity: { value: 0, code: 'mg' } }, '0 mg'],
    [{ valueRange: { low: { value: 1 } } }, 'at least 1'],
    [{ valueRange: { high: { value: 2 } } }, 'at most 2'],
    [{ valueRatio: { numerator: { value: 1 }, denominator: { value: 128 } } }, '1 per 128'],
    [{ valueTime: '08:30:00' }, '08:30:00'],
    [{ valueDateTime: '2024-01' }, '2024-01'],
    [{ valuePeriod: { end: '2024-01-02' } }, 'until 2024-01-02'],
    [{ valueSampledData: { origin: { value: 0 }, period: 10, dimensions: 1, data: '1 2 3' } }, 'series of samples, one each 10 ms'],
  ] as [Partial<Observation>, string][])('tells the value of %j', async (value, words) => {
    const { Result } = await sectionsOf({ resourceType: 'Observation', status: 'final', code: { text: 'X' }, ...value });
    expect(Result).toContain(`Value: ${words}\n`);
  });

  test('without anything but its status bears it', async () => {
    expect(await sectionsOf({ resourceType: 'Observation', status: 'final' } as Observation)).toEqual({ Result: 'Status: final' });
  });
});

describe('a Condition', () => {
  test('tells status, severity, onset, abatement and notes', async () => {
    const resource = condition('Asthma', {
      clinicalStatus: { coding: [{ code: 'resolved' }] },
      verificationStatus: { coding: [{ code: 'confirmed', display: 'Confirmed' }] },
      severity: { text: 'Moderate' },
      bodySite: [{ text: 'Lung' }],
      abatementDateTime: '2024-05-01',
      note: [{ text: 'Since childhood.' }],
    });
    expect(await sectionsOf(resource)).toEqual({
      Condition: [
        'Condition: Asthma',
        'Clinical status: resolved',
        'Verification: Confirmed',
        'Severity: Moderate',
        'Body site: Lung',
        'Onset: 2024-03-01',
        'Abatement: 2024-05-01',
      ].join('\n'),
      Note: 'Since childhood.',
    });
  });

  test.each([
    [{ onsetAge: { value: 12, unit: 'a' } }, 'Onset: at the age of 12 a'],
    [{ onsetPeriod: { start: '2020', end: '2021' } }, 'Onset: 2020 to 2021'],
    [{ onsetRange: { low: { value: 10 }, high: { value: 12 } } }, 'Onset: 10 to 12'],
    [{ onsetString: 'as a child' }, 'Onset: as a child'],
    [{ abatementAge: { value: 20, unit: 'a' } }, 'Abatement: at the age of 20 a'],
    [{ abatementString: 'in spring' }, 'Abatement: in spring'],
  ])('tells %j', async (when, line) => {
    const resource = condition('Asthma', when);
    delete resource.onsetDateTime;
    expect((await sectionsOf(resource)).Condition).toContain(line);
  });

  test('has the day of its onset, else of its record', async () => {
    const resource = condition('Asthma', { recordedDate: '2024-06-07T00:00:00Z' });
    expect((await recordText(resource, nothing)).date).toBe('2024-03-01');
    delete resource.onsetDateTime;
    expect((await recordText(resource, nothing)).date).toBe('2024-06-07');
  });
});

describe('a MedicationStatement', () => {
  const base: MedicationStatement = { resourceType: 'MedicationStatement', status: 'active', subject: person };

  test('tells dosage, reason and period', async () => {
    const resource: MedicationStatement = {
      ...base,
      medicationCodeableConcept: {
        text: 'Metformin',
        coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '6809' }],
      },
      dosage: [
        {
          text: 'with meals',
          timing: { repeat: { frequency: 2, period: 1, periodUnit: 'd' } },
          route: { text: 'oral' },
          doseAndRate: [{ doseQuantity: { value: 500, unit: 'mg' } }],
        },
      ],
      reasonCode: [{ text: 'Diabetes' }],
      effectivePeriod: { start: '2023-01-02' },
      statusReason: [{ text: 'Tolerated' }],
      note: [{ text: 'No nausea.' }],
    };
    expect(await recordText(resource, nothing)).toMatchObject({ date: '2023-01-02', skipped: [] });
    expect(await sectionsOf(resource)).toEqual({
      Medication: [
        'Medication: Metformin (RxNorm 6809)',
        'Status: active',
        'Status reason: Tolerated',
        'Dosage: with meals; 500 mg, oral, 2 time(s) per 1 d',
        'Reason: Diabetes',
        'Taken: since 2023-01-02',
      ].join('\n'),
      Note: 'No nausea.',
    });
  });

  test('finds a contained medication, and a referenced one', async () => {
    const contained: MedicationStatement = {
      ...base,
      contained: [{ resourceType: 'Medication', id: 'm', code: { text: 'Warfarin' }, form: { text: 'tablet' } }],
      medicationReference: { reference: '#m' },
    };
    expect((await sectionsOf(contained)).Medication).toContain('Medication: Warfarin, tablet');
    const referenced = { ...base, medicationReference: { reference: `Medication/${ID}` } };
    const medication = async (id: string) => ({ resourceType: 'Medication' as const, code: { text: `Drug of ${id}` } });
    expect((await sectionsOf(referenced, { medication })).Medication).toContain(`Medication: Drug of ${ID}`);
  });

  test.each([
    ['that is gone', { reference: `Medication/${ID}` }],
    ['that is not contained', { reference: '#m' }],
    ['on another server', { reference: 'https://evil.example/Medication/1' }],
  ])('says so when it cannot name a medication %s', async (_name, medicationReference) => {
    const record = await recordText({ ...base, medicationReference }, nothing);
    expect(record.skipped).toEqual([{ reason: 'the medication is named by no code, and its Medication could not be read' }]);
  });
});

describe('a DiagnosticReport', () => {
  const base: DiagnosticReport = { resourceType: 'DiagnosticReport', status: 'final', code: { text: 'Blood count' } };

  test('tells conclusion, codes and the results that can be read', async () => {
    const resource: DiagnosticReport = {
      ...base,
      effectiveDateTime: '2024-02-03',
      conclusion: 'Iron deficiency.',
      conclusionCode: [{ text: 'Anaemia' }],
      contained: [{ resourceType: 'Observation', id: 'o', status: 'final', code: { text: 'Ferritin' }, valueInteger: 4 }],
      result: [{ reference: '#o' }, { reference: `Observation/${ID}` }, { reference: 'Observation/not-a-uuid' }],
    };
    const observations = async (ids: readonly string[]) => ids.map((id) => observation(`Hb ${id}`, 9));
    expect((await recordText(resource, { ...nothing, observations })).skipped).toEqual([{ reason: '1 of 3 results could not be read' }]);
    const sections = await sectionsOf(resource, { observations });
    expect(sections.Report).toBe('Report: Blood count\nStatus: final\nConclusion codes: Anaemia\nDate: 2024-02-03');
    expect(sections.Conclusion).toBe('Iron deficiency.');
    expect(sections.Results).toBe(
      `Observation: Ferritin\nValue: 4\nStatus: final\n\nObservation: Hb ${ID}\nValue: 9 %\nStatus: final\nDate: 2024-02-03`
    );
  });

  test('takes 30 results, asked for at once', async () => {
    const asked: number[] = [];
    const observations = async (ids: readonly string[]) => {
      asked.push(ids.length);
      return ids.map(() => observation('X', 1));
    };
    const result = Array.from({ length: 45 }, (_, index) => ({ reference: `Observation/3f2a1b4c-0000-4000-8000-${String(index).padStart(12, '0')}` }));
    const record = await recordText({ ...base, result }, { ...nothing, observations });
    expect(asked).toEqual([30]);
    expect(record.skipped).toEqual([{ reason: '15 of 45 results are too many' }]);
  });

  test('leaves out results entered in error', async () => {
    const observations = async () => [observation('Wrong', 1, { status: 'entered-in-error' }), observation('Right', 2)];
    const result = [{ reference: `Observation/${ID}` }, { reference: `Observation/${ID}` }];
    expect((await sectionsOf({ ...base, result }, { observations })).Results).not.toContain('Wrong');
  });
});

describe('a DocumentReference', () => {
  test('tells type, date, description and the text of its attachments', async () => {
    const resource: DocumentReference = {
      ...note(''),
      type: { text: 'Discharge summary' },
      docStatus: 'final',
      description: 'After pneumonia',
      content: [{ attachment: { contentType: 'text/plain' } }, { attachment: { contentType: 'image/png', creation: '2024' } }],
    };
    const attachment = async ({ contentType }: Attachment) => (contentType === 'text/plain' ? { text: 'Recovered.' } : { reason: 'an image' });
    expect((await recordText(resource, { ...nothing, attachment })).skipped).toEqual([{ contentType: 'image/png', reason: 'an image' }]);
    expect(await sectionsOf(resource, { attachment })).toEqual({
      Document: 'Document: Discharge summary\nStatus: final\nDate: 2024-04-05T10:00:00Z\nAttachment: image/png, 2024',
      Description: 'After pneumonia',
      Text: 'Recovered.',
    });
  });

  test('looks at ten attachments', async () => {
    const content = Array.from({ length: 12 }, () => ({ attachment: { contentType: 'text/plain' } }));
    const record = await recordText(note('', { content }), { ...nothing, attachment: async () => ({ text: 'x' }) });
    expect(record.skipped).toEqual([{ reason: '2 of 12 attachments are too many' }]);
  });

  test('without content bears it', async () => {
    const empty = { resourceType: 'DocumentReference', status: 'current' } as DocumentReference;
    expect(await sectionsOf(empty)).toEqual({ Document: 'Status: current' });
  });
});

describe('reasonToWithhold', () => {
  const ai = { meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'AIAST' }] } };

  test.each([
    ['an Observation entered in error', observation('X', 1, { status: 'entered-in-error' }), 'status entered-in-error'],
    ['an Observation cancelled', observation('X', 1, { status: 'cancelled' }), 'status cancelled'],
    ['a Condition entered in error', condition('X', { verificationStatus: { coding: [{ code: 'entered-in-error' }] } }), 'verificationStatus entered-in-error'],
    ['a note entered in error', note('', { docStatus: 'entered-in-error' }), 'status entered-in-error'],
    ['a model\'s draft', note('', { ...ai, docStatus: 'preliminary' }), 'written by a model and still preliminary'],
    ['a person\'s draft', note('', { docStatus: 'preliminary' }), undefined],
    ['a model\'s note that a person signed', note('', { ...ai, docStatus: 'final' }), undefined],
    ['a refuted Condition', condition('X', { verificationStatus: { coding: [{ code: 'refuted' }] } }), undefined],
    ['a Condition', condition('X'), undefined],
  ])('of %s', (_name, resource, reason) => {
    expect(reasonToWithhold(resource)).toBe(reason);
  });
});

test('isEmbedded knows the five types', () => {
  expect(isEmbedded(condition('X'))).toBe(true);
  expect(isEmbedded({ resourceType: 'Patient' })).toBe(false);
});
