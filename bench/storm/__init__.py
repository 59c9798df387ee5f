"""The incident that Parley was born from, played again: who makes a storm of a provider's fault?"""
