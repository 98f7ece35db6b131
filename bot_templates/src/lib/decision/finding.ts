import type { Severity } from './tables.ts';

/** What a rule found in a patient's record. */
export interface Finding {
  /** v3-ActCode of the issue. */
  kind: 'DRG' | 'DUPTHPY' | 'ALGY';
  /** Id of the rule. */
  rule: string;
  severity: Severity;
  /** In a few words, without the patient. */
  title: string;
  /** What happens, and what to do. */
  detail: string;
  /** `Type/id` of every record that has a part in it, sorted. */
  implicated: string[];
}

const RANK: Record<Severity, number> = { high: 0, moderate: 1, low: 2 };

/** Orders by severity, the gravest first. */
export function bySeverity(one: { severity: Severity }, other: { severity: Severity }): number {
  return RANK[one.severity] - RANK[other.severity];
}

/** One finding for each rule and set of records. */
export function merged<T extends Finding>(findings: readonly T[]): T[] {
  const byKey = new Map<string, T>();
  for (const finding of findings) {
    const key = `${finding.kind} ${finding.rule} ${finding.implicated.join()}`;
    if (!byKey.has(key)) {
      byKey.set(key, finding);
    }
  }
  return [...byKey.values()].sort(bySeverity);
}
