/** Where CPT codes come from. Its descriptions are licensed and not here. */
export const CPT = 'http://www.ama-assn.org/go/cpt';
/** HCPCS Level II. */
export const HCPCS = 'https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets';

const CPT_SYSTEMS = [CPT, 'urn:oid:2.16.840.1.113883.6.12'];
const HCPCS_SYSTEMS = [
  HCPCS,
  'http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets',
  'http://terminology.hl7.org/CodeSystem/HCPCS-all-codes',
  'urn:oid:2.16.840.1.113883.6.285',
];

/** A code of a procedure, by its form. */
export interface ProcedureCode {
  system: typeof CPT | typeof HCPCS;
  code: string;
  /** Written behind the code, as in 20610-LT. */
  modifiers: string[];
}

/** Five digits from 00100 on, or four and the letter of a measure, of new technology or of a laboratory's own test. */
const CPT_FORM = /^(?:(?!000)\d{5}|\d{4}[FTU])$/;
/** A letter and four digits; D is for dental codes, which are not of HCPCS but licensed. */
const HCPCS_FORM = /^[ABCEGHJKLMPQRSTUV]\d{4}$/;
const MODIFIER_FORM = /^[A-Z0-9]{2}$/;

/** Whether a coding is of a system of billed procedures. */
export function isBilledSystem(system: string | undefined): boolean {
  return system !== undefined && [...CPT_SYSTEMS, ...HCPCS_SYSTEMS].includes(system);
}

/**
 * A code as it is billed. Only its form is checked: whether there is such a code, nobody here knows.
 * @returns Undefined when it has not the form of a code of its system.
 */
export function procedureCode(system: string | undefined, written: string): ProcedureCode | undefined {
  const [code = '', ...modifiers] = written.trim().toUpperCase().split('-');
  if (!isBilledSystem(system) || modifiers.some((modifier) => !MODIFIER_FORM.test(modifier))) {
    return undefined;
  }
  // Level I of HCPCS is CPT.
  if (CPT_FORM.test(code)) {
    return { system: CPT, code, modifiers };
  }
  return HCPCS_FORM.test(code) && HCPCS_SYSTEMS.includes(system as string)
    ? { system: HCPCS, code, modifiers }
    : undefined;
}
