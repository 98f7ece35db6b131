import { describe, expect, test } from 'vitest';
import { condition, note, observation } from '../../../test/support/records.ts';
import { nothing, REFERENCED } from '../../../test/support/sections.ts';
import { type EmbeddedResource, isEmbedded, reasonToWithhold, recordText } from './record-text.ts';

const person = { reference: `Patient/${REFERENCED}`, display: 'Eleanor Rigby' };
const doctor = { reference: `Practitioner/${REFERENCED}`, display: 'Father McKenzie' };

/** Every kind of record, with a person's name wherever FHIR has room for one. */
const everywhere: EmbeddedResource[] = [
  observation('Glucose', 5, {
    subject: person,
    performer: [doctor],
    identifier: [{ value: 'MRN-1966' }],
    note: [{ authorString: 'Father McKenzie', text: 'fasting' }],
    text: { status: 'generated', div: '<div>Eleanor Rigby</div>' },
  }),
  condition('Asthma', {
    subject: person,
    asserter: doctor,
    recorder: doctor,
    note: [{ authorReference: doctor, text: 'mild' }],
  }),
  {
    resourceType: 'MedicationStatement',
    status: 'active',
    subject: person,
    informationSource: doctor,
    medicationReference: { reference: `Medication/${REFERENCED}`, display: "Rigby's own mixture" },
    reasonReference: [{ display: "Eleanor Rigby's cough" }],
  },
  {
    resourceType: 'DiagnosticReport',
    status: 'final',
    code: { text: 'CBC' },
    subject: person,
    performer: [doctor],
    resultsInterpreter: [doctor],
  },
  note('', {
    subject: person,
    author: [doctor],
    authenticator: doctor,
    masterIdentifier: { value: 'MRN-1966' },
    content: [{ attachment: { contentType: 'application/pdf', title: 'Rigby, Eleanor.pdf' } }],
  }),
];

test.each(everywhere.map((resource) => [resource.resourceType, resource] as const))(
  'a %s tells no name and no record number',
  async (_type, resource) => {
    const text = JSON.stringify(await recordText(resource, nothing));
    expect(text).not.toMatch(/Eleanor|Rigby|McKenzie|MRN/);
  }
);

describe('reasonToWithhold', () => {
  const ai = {
    meta: { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'AIAST' }] },
  };

  test.each([
    ['an Observation entered in error', observation('X', 1, { status: 'entered-in-error' }), 'status entered-in-error'],
    ['an Observation cancelled', observation('X', 1, { status: 'cancelled' }), 'status cancelled'],
    [
      'a Condition entered in error',
      condition('X', { verificationStatus: { coding: [{ code: 'entered-in-error' }] } }),
      'verificationStatus entered-in-error',
    ],
    ['a note entered in error', note('', { docStatus: 'entered-in-error' }), 'status entered-in-error'],
    ["a model's draft", note('', { ...ai, docStatus: 'preliminary' }), 'written by a model and still preliminary'],
    ["a person's draft", note('', { docStatus: 'preliminary' }), undefined],
    ["a model's note that a person signed", note('', { ...ai, docStatus: 'final' }), undefined],
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
