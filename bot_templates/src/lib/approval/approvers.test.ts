import type { PractitionerRole } from '@medplum/fhirtypes';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { secrets } from '../../../test/support/events.ts';
import { APPROVER_ROLES } from '../commands/kind.ts';
import { Secrets } from '../secrets.ts';
import { readRoleCodes, rolesOf } from './approvers.ts';
import { completes } from './second-person.ts';

const WHO = 'Practitioner/11111111-1111-4111-8111-111111111111';
const HL7 = 'http://terminology.hl7.org/CodeSystem/practitioner-role';
const codesOf = (text?: string) => readRoleCodes(new Secrets(secrets(text === undefined ? {} : { APPROVER_ROLES: text })));
const roleOf = (more: Partial<PractitionerRole> = {}, code = 'doctor', system = HL7): PractitionerRole => ({
  resourceType: 'PractitionerRole',
  active: true,
  practitioner: { reference: WHO },
  code: [{ coding: [{ system, code }] }],
  ...more,
});
const NOW = new Date('2026-06-15T12:00:00Z');

describe('the roles of a practitioner', () => {
  test.each([
    ['doctor', HL7, ['practitioner']],
    ['nurse', HL7, ['nurse']],
    ['pharmacist', HL7, ['pharmacist']],
    ['309343006', 'http://snomed.info/sct', ['practitioner']],
    ['106292003', 'http://snomed.info/sct', ['nurse']],
    ['46255001', 'http://snomed.info/sct', ['pharmacist']],
    ['researcher', HL7, []],
    ['doctor', 'urn:other', []],
    ['309343006', HL7, []],
  ])('%s of %s: %j', (code, system, roles) => {
    expect(rolesOf([roleOf({}, code, system)], WHO, codesOf(), NOW)).toEqual(roles);
  });

  test.each([
    [{}, true],
    [{ period: { start: '2026-06-15' } }, true],
    [{ period: { start: '2026-06-16' } }, false],
    [{ period: { end: '2026-06-15' } }, true],
    [{ period: { end: '2026-06-14' } }, false],
    [{ period: { end: '2026-06-15T11:59:59Z' } }, false],
    [{ period: { end: '2026' } }, false],
    [{ period: { end: 'some day' } }, false],
    [{ active: false }, false],
    [{ practitioner: { reference: 'Practitioner/22222222-2222-4222-8222-222222222222' } }, false],
    [{ practitioner: { display: 'Dr Who' } }, false],
  ])('hold with %j: %s', (more, holds) => {
    expect(rolesOf([roleOf(more)], WHO, codesOf(), NOW)).toEqual(holds ? ['practitioner'] : []);
  });

  test('are those that the site names, and the default for what it does not name', () => {
    const codes = codesOf('{"practitioner": ["urn:clinic|chief"], "billing": ["urn:clinic|biller"]}');
    expect(codes.practitioner).toEqual(['urn:clinic|chief']);
    expect(codes.billing).toEqual(['urn:clinic|biller']);
    expect(codes.nurse).toEqual(codesOf().nurse);
    expect(codesOf().billing).toEqual([]);
  });

  test.each(['x', '1', '[]', '{"surgeon":[]}', '{"nurse":["nurse"]}', '{"nurse":["a b|c"]}', '{"nurse":[1]}'])(
    'by %s are NOT_CONFIGURED',
    (text) => {
      expect(() => codesOf(text)).toThrow(expect.objectContaining({ code: 'NOT_CONFIGURED' }) as Error);
    }
  );
});

describe('two people', () => {
  const needed = { roles: ['practitioner', 'pharmacist'], dual: true } as const;
  const person = fc.record({
    who: fc.constantFrom('Practitioner/a', 'Practitioner/b', 'Practitioner/c'),
    roles: fc.subarray([...APPROVER_ROLES]),
  });

  test('complete a command only if they are two, and each gives a role', () => {
    fc.assert(
      fc.property(person, person, (first, second) => {
        let complete = false;
        try {
          if (!completes(needed, [], first)) {
            complete = completes(needed, [first], second);
          } else {
            return false;
          }
        } catch {
          return true;
        }
        const pairs = [
          [first, second],
          [second, first],
        ].some(([one, other]) => one?.roles.includes('practitioner') && other?.roles.includes('pharmacist'));
        return complete === (first.who !== second.who && pairs);
      })
    );
  });

  test('are not needed where one is enough', () => {
    const one = { roles: ['practitioner', 'nurse'], dual: false } as const;
    expect(completes(one, [], { who: 'Practitioner/a', roles: ['nurse'] })).toBe(true);
    expect(() => completes(one, [], { who: 'Practitioner/a', roles: ['pharmacist'] })).toThrow();
  });
});
