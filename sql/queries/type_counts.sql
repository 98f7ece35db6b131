-- How many rows each model has of each resource type, of every project that the login sees.
SELECT model_version, fhir_resource_type, count(*)
FROM public.clinical_embeddings
GROUP BY model_version, fhir_resource_type
