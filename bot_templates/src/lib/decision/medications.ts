import type { Medication, MedicationRequest, MedicationStatement, Resource } from '@medplum/fhirtypes';
import { medicationOf } from '../chart/fact.ts';
import { contradict, Ingredients, plainWords, type Recognition } from './ingredients.ts';

/** A medication of the patient's list, with what it holds. */
export interface Taken extends Recognition {
  /** `Type/id` of the MedicationRequest or MedicationStatement. */
  reference: string;
  resourceType: 'MedicationRequest' | 'MedicationStatement';
  /** The product's name in plain words, or its code; empty where nothing names it. */
  product: string;
  /** `Type/id` of requests and statements that say they are about the same treatment. */
  links: string[];
}

/** Under these the patient takes it, or may any day. */
export const CURRENT = {
  MedicationRequest: ['active', 'draft', 'on-hold'],
  MedicationStatement: ['active', 'intended', 'on-hold'],
} as const;

type Prescribed = MedicationRequest | MedicationStatement;

/**
 * The current medications of a list, each with its ingredients.
 *
 * An order not to give something is no medication.
 * @param medications - Medications that are referred to, by `Medication/id`.
 */
export function takenOf(
  resources: readonly Prescribed[],
  medications: Map<string, Medication>,
  ingredients: Ingredients
): Taken[] {
  return resources.filter(isCurrent).map((resource) => ({
    reference: `${resource.resourceType}/${resource.id}`,
    resourceType: resource.resourceType,
    ...recognised(resource, medications, ingredients),
    product: productOf(resource, medications),
    links: linksOf(resource),
  }));
}

function isCurrent(resource: Prescribed): boolean {
  const current: readonly string[] = CURRENT[resource.resourceType];
  return current.includes(resource.status ?? '') && !(resource as MedicationRequest).doNotPerform;
}

function recognised(resource: Prescribed, medications: Map<string, Medication>, ingredients: Ingredients): Recognition {
  if (resource.medicationCodeableConcept) {
    return ingredients.ofConcept(resource.medicationCodeableConcept);
  }
  const medication = medicationOf(resource, medications);
  const display = resource.medicationReference?.display;
  const named = display === undefined ? undefined : ingredients.ofConcept({ text: display });
  if (medication === undefined) {
    // The words beside a reference are good enough to warn by, and not to be silent by.
    return { ingredients: named?.ingredients ?? [], incomplete: true, contradictory: false };
  }
  const contained: readonly Resource[] = resource.contained ?? [];
  const found = ingredients.ofMedication(medication, contained);
  const all = [...new Set([...found.ingredients, ...(named?.ingredients ?? [])])].sort();
  const contradictory = found.contradictory || contradict([found.ingredients, named?.ingredients ?? []]);
  return { ingredients: all, incomplete: found.incomplete || contradictory, contradictory };
}

function productOf(resource: Prescribed, medications: Map<string, Medication>): string {
  const concept = resource.medicationCodeableConcept ?? medicationOf(resource, medications)?.code;
  const text = concept?.text ?? concept?.coding?.find(({ display }) => display)?.display ?? concept?.coding?.[0]?.code;
  return plainWords(text ?? resource.medicationReference?.display ?? '').join(' ');
}

function linksOf(resource: Prescribed): string[] {
  const references =
    resource.resourceType === 'MedicationRequest'
      ? [resource.priorPrescription, ...(resource.basedOn ?? [])]
      : [...(resource.basedOn ?? []), ...(resource.derivedFrom ?? []), ...(resource.partOf ?? [])];
  return references.map((each) => each?.reference).filter((each) => each !== undefined);
}
