import { describe, expect, test } from 'vitest';
import { modifiersOf } from './modifiers.ts';
import { CPT, HCPCS, procedureCode } from './procedure-code.ts';

describe('The code of a procedure', () => {
  test.each([
    [CPT, '20610', CPT, '20610', []],
    [CPT, '1234F', CPT, '1234F', []],
    [CPT, '0042t', CPT, '0042T', []],
    [CPT, '0001U', CPT, '0001U', []],
    [CPT, '20610-LT', CPT, '20610', ['LT']],
    ['urn:oid:2.16.840.1.113883.6.12', '93000', CPT, '93000', []],
    [HCPCS, 'J3301', HCPCS, 'J3301', []],
    [HCPCS, 'g0439', HCPCS, 'G0439', []],
    ['http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets', 'J3301', HCPCS, 'J3301', []],
    [HCPCS, '93000', CPT, '93000', []],
  ])('%s %s', (system, written, expected, code, modifiers) => {
    expect(procedureCode(system, written)).toEqual({ system: expected, code, modifiers });
  });

  test.each([
    ['four digits', CPT, '2061'],
    ['six digits', CPT, '206100'],
    ['a letter that CPT has not', CPT, '1234X'],
    ['a number below all of CPT', CPT, '00000'],
    ['HCPCS as CPT', CPT, 'J3301'],
    ['a dental code', HCPCS, 'D0120'],
    ['a letter that HCPCS has not', HCPCS, 'Z1234'],
    ['a modifier of three characters', CPT, '20610-LTX'],
    ['words', CPT, 'injection'],
    ['nothing', CPT, ''],
    ['another system', 'http://snomed.info/sct', '93000'],
    ['no system', undefined, '93000'],
  ])('%s is none', (_name, system, written) => {
    expect(procedureCode(system, written)).toBeUndefined();
  });
});

describe('Modifiers', () => {
  const SNOMED = 'http://snomed.info/sct';
  const site = (...bodySite: object[]) =>
    ({ resourceType: 'Procedure', id: '1', status: 'completed', subject: {}, bodySite }) as const;
  const of = (procedure: object, modifiers: string[] = []) =>
    modifiersOf(procedure as Parameters<typeof modifiersOf>[0], { system: CPT, code: '20610', modifiers }).map(
      ({ code }) => code
    );

  test.each([
    ['a side in words', site({ text: 'Right knee' }), ['RT']],
    ['a side as a code', site({ coding: [{ system: SNOMED, code: '7771000' }] }), ['LT']],
    ['both sides, in two sites', site({ text: 'left knee' }, { text: 'right knee' }), []],
    ['both sides, in a word', site({ text: 'bilateral knees, left worse' }), []],
    ['both sides, as a code', site({ coding: [{ system: SNOMED, code: '51440002', display: 'Right and left' }] }), []],
    ['no side', site({ text: 'Knee' }), []],
    ['a word that only sounds so', site({ text: 'upright position' }), []],
  ])('%s', (_name, procedure, expected) => {
    expect(of(procedure)).toEqual(expected);
  });

  test('those of the code itself stay, each once', () => {
    expect(of(site({ text: 'left knee' }), ['LT', '59'])).toEqual(['LT', '59']);
    expect(of(site({ text: 'left knee' }), ['50'])).toEqual(['50']);
  });
});
