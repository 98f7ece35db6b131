/** A code that may be suggested, before codes are merged, filtered and put in order. */
export interface Candidate {
  system: string;
  code: string;
  /** From the table; CPT and HCPCS have none here, for CPT's descriptions are licensed. */
  display?: string;
  /** 0 to 1: 0.9 from a coding in the record, at most 0.8 from a note. */
  confidence: number;
  source: 'record' | 'note';
  evidence: Evidence[];
}

/** What a code rests on. */
export interface Evidence {
  /** `Type/id` */
  reference: string;
  /** Words of a note, verbatim. */
  quote?: string;
}

/** A code that is not suggested, and why. */
export interface Refused {
  code: string;
  reason: RefusalReason;
  /** `Type/id` of what names it. */
  source: string;
}

export type RefusalReason =
  /** A category: only codes below it can be billed. */
  | 'NOT_SPECIFIC'
  /** ICD-10-CM has no such code. */
  | 'UNKNOWN_CODE'
  | 'PROVISIONAL'
  | 'REFUTED'
  | 'NOT_ACTIVE'
  /** It has not the form of a code of its system. */
  | 'INVALID_FORM'
  /** The record has another code of the same category. */
  | 'RECORD_SAYS_OTHERWISE'
  /** A level of a visit that is not borne out by minutes or medical decision making. */
  | 'LEVEL_NOT_DOCUMENTED'
  | 'NOT_IN_SOURCE'
  | 'UNRELATED'
  | 'TOO_SPECIFIC'
  | 'CONTRADICTS'
  | 'NEGATED'
  | 'HISTORY'
  | 'FAMILY_HISTORY'
  | 'UNCERTAIN'
  | 'ABOUT_BILLING';

/** What the documentation lacks. */
export interface Gap {
  code: string;
  /** In words of our own. */
  message: string;
  /** `Type/id` of what it concerns. */
  references?: string[];
}

/** What one source of codes gives. */
export interface Findings {
  codes: Candidate[];
  refused: Refused[];
  gaps: Gap[];
  /** Codes in capitals, without repetitions. */
  warnings: string[];
}

/** One candidate a code, in order of first appearance: the greater confidence, all the evidence. */
export function merged(candidates: readonly Candidate[]): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const candidate of candidates) {
    const key = `${candidate.system}|${candidate.code}`;
    const earlier = found.get(key);
    if (!earlier) {
      found.set(key, candidate);
      continue;
    }
    const [better, other] = candidate.confidence > earlier.confidence ? [candidate, earlier] : [earlier, candidate];
    const known = new Set(better.evidence.map((each) => JSON.stringify(each)));
    const more = other.evidence.filter((each) => !known.has(JSON.stringify(each)));
    found.set(key, { ...better, evidence: [...better.evidence, ...more] });
  }
  return [...found.values()];
}

/** Gaps of one kind become one, with all their references. */
export function mergedGaps(gaps: readonly Gap[]): Gap[] {
  const found = new Map<string, Gap>();
  for (const gap of gaps) {
    const earlier = found.get(gap.code);
    const references = [...new Set([...(earlier?.references ?? []), ...(gap.references ?? [])])];
    found.set(gap.code, { ...(earlier ?? gap), ...(references.length > 0 ? { references } : {}) });
  }
  return [...found.values()];
}
