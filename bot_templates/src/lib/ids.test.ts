import { describe, expect, test } from 'vitest';
import { isUuid, parseReference, referencedId } from './ids.ts';

const ID = '3f2a1b4c-0000-4000-8000-00000000ABCD';

test.each([
  [ID, true],
  [`${ID} `, false],
  [`${ID}0`, false],
  ['patient-1', false],
  ['', false],
  [null, false],
  [7, false],
])('isUuid(%j) is %j', (value, expected) => {
  expect(isUuid(value)).toBe(expected);
});

describe('parseReference', () => {
  test.each([
    [`Patient/${ID}`, { resourceType: 'Patient', id: ID }],
    [`Patient/${ID}/_history/2`, { resourceType: 'Patient', id: ID }],
  ])('takes %s apart', (reference, expected) => {
    expect(parseReference(reference)).toEqual(expected);
  });

  test.each([
    '#contained',
    'https://other.example/Patient/1',
    'Patient',
    'Patient/',
    'Patient?identifier=1',
    'Patient/a b',
    '/Patient/1',
    undefined,
    7,
    {},
  ])('takes %j for none', (reference) => {
    expect(parseReference(reference)).toBeUndefined();
  });
});

test('referencedId gives the id of the type asked for, in lower case, and no other', () => {
  expect(referencedId(`Patient/${ID}`, 'Patient')).toBe(ID.toLowerCase());
  expect(referencedId(`Group/${ID}`, 'Patient')).toBeUndefined();
  expect(referencedId('Patient/patient-1', 'Patient')).toBeUndefined();
});
