"""LLM-free serving: interests by the backbone, retrieval by FAISS. Imports neither esim nor llama_cpp."""
